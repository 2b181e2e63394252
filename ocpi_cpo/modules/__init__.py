"""One file per OCPI module: the routes that partners call."""
