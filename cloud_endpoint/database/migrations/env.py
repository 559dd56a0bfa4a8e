"""Run by alembic: the connection comes from `cloud_endpoint.database.schema`, never from an ini file."""

from alembic import context

from cloud_endpoint.database.tables import PARTITIONS, metadata

PARTITION_NAMES = {f"{name}_{number}" for name in metadata.tables for number in range(PARTITIONS)}


def _is_ours(name: str | None, type_: str, _parents: object) -> bool:
    """Partitions belong to their table; autogenerate must not see them as tables of their own."""
    return not (type_ == "table" and name in PARTITION_NAMES)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters by copying
    transactional_ddl=True,  # SQLite too: the driver's own commits are switched off
    include_name=_is_ours,
)
context.run_migrations()
