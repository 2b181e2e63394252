"""The command line ``cms``. Administers through the running server's API, or opens the store itself
where no server runs; either way the same routes, checks and audit rows.
"""
