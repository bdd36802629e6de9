-- Times are milliseconds since 1970: datetime(created_at / 1000, 'unixepoch') reads them.
-- Documents are JSON, written by filemill-core's types; the columns beside them are the indexed ones.

CREATE TABLE buckets (
    name       TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    objects    INTEGER NOT NULL DEFAULT 0,
    bytes      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Stored bytes. Small content is in `data`; the rest is a file named by the id (see src/blobs.rs).
-- `crc` is the CRC-64/NVME of the whole content, `refs` the number of objects and parts that hold it.
CREATE TABLE blobs (
    id   INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    crc  INTEGER NOT NULL,
    refs INTEGER NOT NULL DEFAULT 1,
    data BLOB
) STRICT;

-- `sequencer` is the announcement's number and names this version of the object.
-- `blob` is the content if it is one blob; content of several blobs is in `extents`; empty content has neither.
CREATE TABLE objects (
    bucket      TEXT NOT NULL,
    key         TEXT NOT NULL,
    sequencer   INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    modified_at INTEGER NOT NULL,
    blob        INTEGER,
    attributes  TEXT NOT NULL,
    checksums   TEXT,
    part_sizes  TEXT,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- The object's bytes from `start` on, `size` of them, are the blob's.
CREATE TABLE extents (
    object INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    size   INTEGER NOT NULL,
    blob   INTEGER NOT NULL,
    PRIMARY KEY (object, start)
) STRICT, WITHOUT ROWID;

CREATE TABLE multiparts (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL,
    key        TEXT NOT NULL,
    begun_at   INTEGER NOT NULL,
    attributes TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX multiparts_by_key ON multiparts (bucket, key, id);

-- `blob` is also the part's handle; an empty part has one too, without a row in `blobs`.
CREATE TABLE parts (
    multipart   TEXT NOT NULL,
    number      INTEGER NOT NULL,
    size        INTEGER NOT NULL,
    etag        TEXT NOT NULL,
    checksums   TEXT,
    modified_at INTEGER NOT NULL,
    blob        INTEGER NOT NULL,
    PRIMARY KEY (multipart, number)
) STRICT, WITHOUT ROWID;

-- Not yet acknowledged. The id is the sequencer and never given twice.
CREATE TABLE announcements (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL,
    bucket       TEXT NOT NULL,
    key          TEXT NOT NULL,
    size         INTEGER NOT NULL,
    etag         TEXT NOT NULL,
    content_type TEXT,
    origin       TEXT,
    at           INTEGER NOT NULL
) STRICT;

CREATE TABLE files (
    id         TEXT PRIMARY KEY,
    bucket     TEXT NOT NULL,
    key        TEXT NOT NULL,
    sequencer  TEXT NOT NULL,
    removed_at INTEGER,
    document   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_key ON files (bucket, key) WHERE removed_at IS NULL;

CREATE TABLE uploads (
    id         TEXT PRIMARY KEY,
    status     TEXT NOT NULL,
    bucket     TEXT NOT NULL,
    key        TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    document   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (bucket, key, id);
CREATE INDEX uploads_pending ON uploads (expires_at) WHERE status = 'pending';

-- A row id, because the documents are long: they stay in leaf pages, in order of arrival.
CREATE TABLE jobs (
    number   INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    rev      INTEGER NOT NULL,
    status   TEXT NOT NULL,
    rule     TEXT NOT NULL,
    bucket   TEXT NOT NULL,
    key      TEXT NOT NULL,
    upload   TEXT,
    document TEXT NOT NULL
) STRICT;
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_rule ON jobs (rule, id);
CREATE INDEX jobs_by_object ON jobs (bucket, key, id);
CREATE INDEX jobs_by_upload ON jobs (upload, id) WHERE upload IS NOT NULL;

-- Leased while `worker` is set; then `ready_at` is the lease's end.
CREATE TABLE tasks (
    job        TEXT NOT NULL,
    run        INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    chunk      INTEGER NOT NULL,
    queue      TEXT NOT NULL,
    rank       INTEGER NOT NULL,
    ready_at   INTEGER NOT NULL,
    attempts   INTEGER NOT NULL,
    token      INTEGER NOT NULL,
    worker     TEXT,
    last_error TEXT,
    PRIMARY KEY (job, run, kind, chunk)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_rank ON tasks (queue, kind, rank, ready_at);
CREATE INDEX tasks_by_age ON tasks (queue, kind, ready_at);
CREATE INDEX tasks_leased ON tasks (queue, ready_at) WHERE worker IS NOT NULL;

CREATE TABLE chunks (
    job      TEXT NOT NULL,
    run      INTEGER NOT NULL,
    chunk    INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job, run, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    job    TEXT,
    file   TEXT,
    upload TEXT,
    data   TEXT NOT NULL
) STRICT;

-- One row. `starts` counts how often the store was opened; blob ids begin with it.
-- `syncs` is written where a sync is owed and nothing else was written.
CREATE TABLE store (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    starts INTEGER NOT NULL,
    syncs  INTEGER NOT NULL
) STRICT;
INSERT INTO store (one, starts, syncs) VALUES (1, 0, 0);
