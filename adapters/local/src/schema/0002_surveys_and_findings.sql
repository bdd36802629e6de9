-- Where the chunks of a surveyed input begin, for as long as its job is open.
CREATE TABLE surveys (
    job      TEXT NOT NULL,
    run      INTEGER NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (job, run)
) STRICT, WITHOUT ROWID;

-- What processors found: one row by object and processor. `found` is the object of numbers by name.
CREATE TABLE findings (
    bucket    TEXT NOT NULL,
    key       TEXT NOT NULL,
    processor TEXT NOT NULL,
    job       TEXT NOT NULL,
    at        INTEGER NOT NULL,
    label     TEXT NOT NULL,
    found     TEXT NOT NULL,
    PRIMARY KEY (bucket, key, processor)
) STRICT, WITHOUT ROWID;
CREATE INDEX findings_by_label ON findings (processor, label, at);
