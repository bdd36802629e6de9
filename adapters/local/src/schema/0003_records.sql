-- What is stored whole and found by a few fields: dead letters, redrives, audit entries. `due_at`: something is to be done.
CREATE TABLE records (
    number   INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    rev      INTEGER NOT NULL,
    due_at   INTEGER,
    fields   TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (kind, id)
) STRICT;
CREATE INDEX records_due ON records (kind, due_at) WHERE due_at IS NOT NULL;

-- Each of `records.fields` once more, for finding.
CREATE TABLE record_fields (
    kind  TEXT NOT NULL,
    name  TEXT NOT NULL,
    value TEXT NOT NULL,
    id    TEXT NOT NULL,
    PRIMARY KEY (kind, name, value, id)
) STRICT, WITHOUT ROWID;
