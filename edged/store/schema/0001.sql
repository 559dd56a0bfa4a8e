-- Every index costs a page written with every arrival, on an SD card: there are as few as will do.
-- A stamp column holds a JSON array [utc, clock_synced, boot_id, monotonic_s]; utc first, so that it sorts.

CREATE TABLE visit (
    id          INTEGER PRIMARY KEY,
    visit_id    TEXT NOT NULL UNIQUE,
    berth_no    TEXT NOT NULL,
    in_stamp    TEXT,               -- NULL: the drive-in was lost with a corrupt database
    in_cause    TEXT,
    out_stamp   TEXT,               -- NULL: the vehicle is still there
    out_cause   TEXT,
    closed_utc  TEXT                -- retention counts from here; NULL until a synchronised clock says when
);
CREATE TABLE reading (
    id              INTEGER PRIMARY KEY,
    event_id        TEXT NOT NULL,
    visit_id        TEXT NOT NULL,
    stamp           TEXT NOT NULL,
    captured_stamp  TEXT NOT NULL,
    plate           TEXT,
    plate_kind      TEXT,
    characters      TEXT NOT NULL,  -- JSON array of confidences
    confidence      REAL NOT NULL,
    accepted        INTEGER NOT NULL,
    model_version   TEXT NOT NULL,
    evidence_sha256 TEXT,
    UNIQUE (visit_id, event_id)
);

CREATE TABLE evidence (
    sha256      TEXT PRIMARY KEY,
    size_bytes  INTEGER NOT NULL,
    stored_utc  TEXT                -- NULL until a synchronised clock says when
) WITHOUT ROWID;

-- What the cloud does not know yet. AUTOINCREMENT: a sequence is never used twice.
CREATE TABLE outbox (
    sequence        INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id        TEXT NOT NULL UNIQUE,
    kind            TEXT NOT NULL,
    berth_no        TEXT NOT NULL,
    visit_id        TEXT,
    stamp           TEXT NOT NULL,
    captured_stamp  TEXT,
    body            TEXT NOT NULL,  -- JSON: what the kind adds to the fields above
    evidence_sha256 TEXT,
    attempts        INTEGER NOT NULL DEFAULT 0,  -- how often the cloud said "keep"
    rejected_reason TEXT            -- not NULL: set aside for the technician
);
CREATE INDEX outbox_kept ON outbox (attempts, sequence) WHERE attempts > 0;
CREATE INDEX outbox_rejected ON outbox (sequence) WHERE rejected_reason IS NOT NULL;

-- Pictures that the cloud asked for.
CREATE TABLE upload (
    sha256    TEXT PRIMARY KEY,
    attempts  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The first synchronised stamp of each boot: corrects what that boot recorded before.
CREATE TABLE clock_anchor (
    boot_id  TEXT PRIMARY KEY,
    stamp    TEXT NOT NULL
) WITHOUT ROWID;

-- What was dropped, and why, since this box was set up.
CREATE TABLE drop_count (
    cause  TEXT PRIMARY KEY,
    count  INTEGER NOT NULL
) WITHOUT ROWID;
