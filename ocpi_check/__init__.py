"""A self-test that any OCPI party can be pointed at.

It knows the wire only: nothing of the product it may be run against, so that what it says about
ours it would say about a stranger's.
"""
