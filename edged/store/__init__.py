"""SQLite: visits, readings, evidence pictures and the outbox; nothing that was committed is lost.

The daemon opens a `Store` (one writer); commands open an `Archive` (reads beside a running daemon).
"""

from edged.store.archive import Archive, requeue_rejected
from edged.store.errors import (
    NoRecordsError,
    StoreCorruptError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
)
from edged.store.records import (
    NewReading,
    OutboxCounts,
    RejectedEvent,
    StoredReading,
    Visit,
)
from edged.store.retention import Evicted
from edged.store.store import Store

__all__ = [
    "Archive",
    "Evicted",
    "NewReading",
    "NoRecordsError",
    "OutboxCounts",
    "RejectedEvent",
    "Store",
    "StoreCorruptError",
    "StoreError",
    "StoreFullError",
    "StoreReadOnlyError",
    "StoredReading",
    "Visit",
    "requeue_rejected",
]
