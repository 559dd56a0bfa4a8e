"""Orders in review come due again, so that they end; what a payment reported is kept whole"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("UPDATE orders SET due_ms = expires_ms WHERE state = 'review' AND due_ms > expires_ms")
    op.add_column("payments", sa.Column("minutes", sa.Integer()))
    op.add_column("payments", sa.Column("reason", sa.String(length=32)))


def downgrade() -> None:
    for name in ("minutes", "reason"):
        op.drop_column("payments", name)
