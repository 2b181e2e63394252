"""The generic tolerant pipeline: small pure steps, each with its number in the quirks catalogue.

* ``handshake``   what a request path and a subprotocol list mean          Q-001 to Q-008
* ``octets``      frames that are no JSON, or no OCPP-J                    Q-020 to Q-030
* ``scalars``     numbers as text, text as numbers, booleans as either     Q-040 to Q-048
* ``words``       enumerations in other case, other spelling, other words  Q-055 to Q-064
* ``shapes``      walks the schema and applies the two above               Q-042 to Q-050
* ``times``       timestamps                                               Q-070 to Q-073
* ``quantities``  measured values and their units                          Q-059, Q-060, Q-080 to Q-091
* ``names``       tokens and other text                                    Q-020, Q-048
"""
