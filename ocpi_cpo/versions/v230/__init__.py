"""OCPI 2.3.0 as a thin translation: prices carry their taxes, tariffs say whether tax is in, sites
describe their parking places. Everything else is 2.2.1's.
"""
