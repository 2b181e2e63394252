"""Runs the migrations on the connection that ``cms.store.schema`` hands in. No ini file."""

from __future__ import annotations

from alembic import context

from cms.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,
    transaction_per_migration=True,  # a step is whole or not at all
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
