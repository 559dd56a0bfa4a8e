-- How often the event was set aside: once, and it is tried again after the next accepted batch; then once a day.
ALTER TABLE outbox ADD COLUMN set_aside_count INTEGER NOT NULL DEFAULT 0;
