"""Reservations: a table of their own, and the sessions that they are or became."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("open")
_OPEN_SESSIONS = sa.text("status IN ('reserved', 'pending', 'active', 'stopped')")
_OPEN_BEFORE = sa.text("status IN ('pending', 'active', 'stopped')")


def upgrade() -> None:
    op.create_table(
        "reservations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("station", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("reservations_created", "reservations", ["created_at", "id"])
    op.create_index(
        "reservations_open",
        "reservations",
        ["created_at"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.add_column("sessions", sa.Column("reservation", sa.BigInteger(), nullable=True))
    op.add_column("sessions", sa.Column("held_from", sa.BigInteger(), nullable=True))
    _index_open_sessions(_OPEN_SESSIONS)


def downgrade() -> None:
    _index_open_sessions(_OPEN_BEFORE)
    op.drop_column("sessions", "held_from")
    op.drop_column("sessions", "reservation")
    op.drop_table("reservations")


def _index_open_sessions(which: sa.TextClause) -> None:
    op.drop_index("sessions_open", "sessions")
    op.create_index(
        "sessions_open",
        "sessions",
        ["status", "settle_after"],
        sqlite_where=which,
        postgresql_where=which,
    )
