"""OCPI 2.1.1 as a thin translation of 2.2.1: what is renamed, left out or folded, and nothing else.

``place``, ``money`` and ``people`` take objects as they stand in 2.2.1 and return them as 2.1.1
wants them; each difference stands in one place. Members are chosen by name, so that what a later
version adds never slips in here.
"""
