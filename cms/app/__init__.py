"""Use cases and their ports: one class per actor's wish. Knows no protocol and no database."""
