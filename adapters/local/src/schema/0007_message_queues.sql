-- Queues for programs outside. Times of a queue are milliseconds. A purged queue gets another id: what it held belongs to
-- no queue any more and is removed in the background, as is what a deleted queue held.
CREATE TABLE message_queues (
    id                INTEGER PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    created_at        INTEGER NOT NULL,
    changed_at        INTEGER NOT NULL,
    visibility        INTEGER NOT NULL,
    retention         INTEGER NOT NULL,
    delay             INTEGER NOT NULL,
    wait              INTEGER NOT NULL,
    message_bytes_max INTEGER NOT NULL,
    dead_letters      TEXT,
    receives_max      INTEGER
) STRICT;

-- What moves with every receive, apart from what does not: a claim rewrites no body. Numbers rise with arrival, so the
-- first row of a queue is its oldest. Received and not visible: in flight. `given_up_by` is set in a dead-letter queue.
CREATE TABLE messages (
    queue             INTEGER NOT NULL,
    number            INTEGER NOT NULL,
    body              INTEGER NOT NULL,
    entered_at        INTEGER NOT NULL,
    visible_at        INTEGER NOT NULL,
    receives          INTEGER NOT NULL DEFAULT 0,
    token             INTEGER NOT NULL DEFAULT 0,
    first_received_at INTEGER,
    given_up_by       TEXT,
    PRIMARY KEY (queue, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_by_visibility ON messages (queue, visible_at, receives);

CREATE TABLE message_bodies (
    id         INTEGER PRIMARY KEY,
    message    BLOB NOT NULL,
    sent_at    INTEGER NOT NULL,
    attributes TEXT,
    body       TEXT NOT NULL
) STRICT;
