"""Why a store cannot be opened.

CannotOpen
├── SchemaTooNew    written by a newer version of this program
├── SchemaTooOld    needs ``cms db upgrade`` first
├── InUse           another process holds the lease of the file
└── NotDurable      the server is set up to lose acknowledged commits
"""

from __future__ import annotations

from cms.domain.errors import CmsError


class CannotOpen(CmsError):
    """The store cannot be opened; the text says why and what to do, in one line."""


class SchemaTooNew(CannotOpen): ...


class SchemaTooOld(CannotOpen): ...


class InUse(CannotOpen): ...


class NotDurable(CannotOpen): ...
