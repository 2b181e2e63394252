"""The HTTP API for site owners and operators, and the page. Reads and asks; decides nothing."""
