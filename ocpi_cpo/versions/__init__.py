"""One package per OCPI version. What differs between versions lives here and nowhere else."""
