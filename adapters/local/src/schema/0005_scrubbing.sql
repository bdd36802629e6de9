-- How far the round through all stored bytes is. One row. The blob is the one under way or the last that was checked; `last` was the
-- newest when the round began, so that a round ends however much is uploaded.
CREATE TABLE scrub (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    began_at INTEGER,
    ended_at INTEGER,
    blob     INTEGER NOT NULL,
    checked  INTEGER NOT NULL,
    last     INTEGER NOT NULL
) STRICT;
INSERT INTO scrub (one, began_at, ended_at, blob, checked, last) VALUES (1, NULL, NULL, 0, 0, 0);

-- Blobs that are not what was stored, when that was found, and what was.
CREATE TABLE damage (
    blob     INTEGER PRIMARY KEY,
    found_at INTEGER NOT NULL,
    what     TEXT NOT NULL
) STRICT;
