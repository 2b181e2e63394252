"""A lighter journal: the index by station holds only frames that belong to no session."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_LOOSE = sa.text("session IS NULL")


def upgrade() -> None:
    op.drop_index("journal_station", "journal")
    op.create_index(
        "journal_station",
        "journal",
        ["station", "received_at"],
        sqlite_where=_LOOSE,
        postgresql_where=_LOOSE,
    )


def downgrade() -> None:
    op.drop_index("journal_station", "journal")
    op.create_index("journal_station", "journal", ["station", "received_at"])
