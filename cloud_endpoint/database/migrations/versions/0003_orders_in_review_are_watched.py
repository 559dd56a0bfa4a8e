"""Orders in review are watched too: a later picture may decide them"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WATCHED = "state IN ('pending', 'review', 'confirmed')"
OPEN = "state NOT IN ('paid', 'expired', 'cancelled')"
WATCHED_BEFORE = "state IN ('pending', 'confirmed')"
OPEN_BEFORE = "state NOT IN ('paid', 'expired', 'cancelled', 'review')"


def upgrade() -> None:
    _replace(WATCHED, OPEN)


def downgrade() -> None:
    _replace(WATCHED_BEFORE, OPEN_BEFORE)


def _replace(watched: str, is_open: str) -> None:
    for name, columns, condition in (
        ("orders_berth", ["site_id", "berth_id"], watched),
        ("orders_due", ["due_ms"], is_open),
    ):
        op.drop_index(name, "orders")
        op.create_index(
            name, "orders", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition)
        )
