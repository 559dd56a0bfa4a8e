-- Each run of the box in order, and the last time known before it: bounds for the records of a run without a clock.
CREATE TABLE boot (
    id          INTEGER PRIMARY KEY,
    boot_id     TEXT NOT NULL UNIQUE,
    not_before  TEXT                -- UTC; NULL: no time was known
);

-- The last-known time, one row, renewed each minute.
CREATE TABLE known_time (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    stamp  TEXT NOT NULL
);
