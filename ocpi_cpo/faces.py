"""How we look in each version of OCPI; the use cases behind are the same."""

from __future__ import annotations

from dataclasses import dataclass

from ocpi_cpo.pages import Network, Pages
from ocpi_cpo.push.statuses import Statuses
from ocpi_cpo.render import Renderer
from ocpi_cpo.versions.dialect import Dialect


@dataclass(frozen=True, slots=True)
class Face:
    """What partners of one version are shown."""

    dialect: Dialect
    network: Network
    pages: Pages
    statuses: Statuses
    render: Renderer
