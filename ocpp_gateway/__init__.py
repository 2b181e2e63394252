"""Speaks OCPP-J to charging stations, and the core's own words inward.

socket -> rpc -> strict decode (repair only on failure) -> v16/v201 inbound -> cms.app ports
"""
