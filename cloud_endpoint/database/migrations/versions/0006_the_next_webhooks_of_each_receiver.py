"""The next webhooks of each receiver are found without reading all that wait for one that does not answer"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WAITING = "state = 'waiting'"


def upgrade() -> None:
    op.create_index(
        "webhooks_receiver",
        "webhooks",
        ["site_id", "credential_id", "attempts", "due_ms"],
        sqlite_where=sa.text(WAITING),
        postgresql_where=sa.text(WAITING),
    )


def downgrade() -> None:
    op.drop_index("webhooks_receiver", "webhooks")
