"""Sessions keep the tariffs that took each other's place while they ran."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sessions", sa.Column("switches", sa.Text(), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "switches")
