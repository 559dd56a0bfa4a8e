"""What all tables have in common."""

from sqlalchemy import BigInteger, Column, MetaData, String, Table
from sqlalchemy.sql.schema import SchemaItem

metadata = MetaData()
PARTITIONS = 8  # created by the migrations; see docs/scaling.md

Ms = BigInteger  # of UTC


def by_site(name: str, *columns: SchemaItem) -> Table:
    """Return a table that grows with the city: its key begins with the site, and it is partitioned by it."""
    site = Column("site_id", String(32), nullable=False)
    return Table(name, metadata, site, *columns, postgresql_partition_by="HASH (site_id)")
