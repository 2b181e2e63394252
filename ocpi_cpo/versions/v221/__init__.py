"""OCPI 2.2.1: the objects as they stand on the wire, and the way there from the core's words."""
