"""What goes wrong in an OCPI conversation, as exceptions that carry their answer.

OcpiError                  HTTP status, OCPI status_code, text; optional data
├── Malformed      400/2000  the body is no JSON
├── Unauthorised   401/2000  no token, an unknown one, or one without this right
├── NotThere       404/2000  no such thing, or none that the caller may see
│   ├── NoSuchPlace   404/2003  a location, EVSE or connector
│   └── UnknownToken  404/2004
├── NotAllowed     405/2000  the method does not exist here (now)
├── BadParameter   200/2001  a parameter or field is missing or wrong; the text names it
├── NotEnough      200/2002  more is needed to decide
├── UnknownPlace   200/2003  a location, EVSE or connector that is not ours
├── ClientApi      200/3001  the partner's own API cannot be used
├── NoVersion      200/3002  no version in common
└── NoEndpoints    200/3003  the partner lacks modules that are needed
"""

from __future__ import annotations

from typing import Any


class OcpiError(Exception):
    """An answer that is not what the caller hoped for."""

    http = 200
    code = 2000

    def __init__(self, message: str, *, data: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class Malformed(OcpiError):
    http = 400


class Unauthorised(OcpiError):
    http = 401


class NotThere(OcpiError):
    http = 404


class NoSuchPlace(NotThere):
    code = 2003


class UnknownToken(NotThere):
    code = 2004


class NotAllowed(OcpiError):
    http = 405

    def __init__(self, message: str, allowed: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.allowed = allowed


class TooLarge(OcpiError):
    http = 413


class BadParameter(OcpiError):
    code = 2001


class NotEnough(OcpiError):
    code = 2002


class UnknownPlace(OcpiError):
    code = 2003


class ClientApi(OcpiError):
    code = 3001


class NoVersion(OcpiError):
    code = 3002


class NoEndpoints(OcpiError):
    code = 3003
