"""The benchmark: the real server in its own process, measured beside bare references.

``python -m benchmarks`` (or ``make bench``) prints every figure with its target; docs/performance.md
says how each is taken.
"""
