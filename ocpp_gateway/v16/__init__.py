"""OCPP 1.6 on the wire: messages, what stations say (inbound), what we ask (outbound)."""
