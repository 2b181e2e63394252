"""OCPP 2.0.1 on the wire: messages, what stations say (inbound), what we ask (outbound)."""
