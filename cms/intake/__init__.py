"""Plain data (TOML, JSON, CSV) -> the core's values, with errors that name the field.

The config file, the HTTP API and the import of CSV files all come through here, so that a site is
described in the same words wherever an operator writes it down.
"""
