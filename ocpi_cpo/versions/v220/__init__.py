"""OCPI 2.2 as its differences from 2.2.1, which corrected and widened it."""
