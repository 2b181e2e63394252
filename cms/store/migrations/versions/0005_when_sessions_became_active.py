"""Sessions keep since when they are active; it is what their partners know as their start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TOLD_AS_ACTIVE = "status IN ('active', 'stopped')"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("activated_at", sa.BigInteger(), nullable=True))
    # What partners were told of these as their start stays it while they are open. Settled ones
    # are shown with started_at, as ever: a table of years is not written anew for that.
    op.execute(f"UPDATE sessions SET activated_at = started_at WHERE {_TOLD_AS_ACTIVE}")


def downgrade() -> None:
    op.drop_column("sessions", "activated_at")
