-- Who brought it: a key's id, or nothing for the service's own credentials.
ALTER TABLE announcements ADD COLUMN owner TEXT;
ALTER TABLE files ADD COLUMN owner TEXT;
ALTER TABLE jobs ADD COLUMN owner TEXT;
ALTER TABLE findings ADD COLUMN owner TEXT;
ALTER TABLE events ADD COLUMN owner TEXT;
CREATE INDEX files_by_owner ON files (owner, bucket, key) WHERE owner IS NOT NULL AND removed_at IS NULL;
CREATE INDEX jobs_by_owner ON jobs (owner, id) WHERE owner IS NOT NULL;
