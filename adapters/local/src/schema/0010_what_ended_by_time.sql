-- Ended jobs by the time of their end, with all that rates over a window need; those with a dead letter apart, so that the oldest
-- are found at once, however many others are kept longer. Times are texts that sort by time.
DROP INDEX jobs_by_end;
CREATE INDEX jobs_by_end ON jobs (
    json_extract(document, '$.dead_letter') IS NOT NULL, json_extract(document, '$.finished_at'),
    rule, status, ifnull(json_extract(document, '$.throttles'), 0)
) WHERE status IN ('completed', 'failed', 'cancelled');
-- Received and expired uploads by the end of their link, to remove the oldest of them.
CREATE INDEX uploads_ended ON uploads (expires_at) WHERE status <> 'pending';
