"""When a reading was decided, times that no clock proves, and plates of open visits by text"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

OPEN = "ended_ms IS NULL"


def upgrade() -> None:
    op.add_column("visits", sa.Column("read_ms", sa.BigInteger()))
    op.add_column(
        "visits", sa.Column("time_unsure", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.create_index(
        "visits_open_plate",
        "visits",
        ["site_id", "plate"],
        sqlite_where=sa.text(OPEN),
        postgresql_where=sa.text(OPEN),
    )


def downgrade() -> None:
    op.drop_index("visits_open_plate", "visits")
    for name in ("read_ms", "time_unsure"):
        op.drop_column("visits", name)
