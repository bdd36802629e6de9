-- Ended jobs of a status by the time of their end, with all that rates over a window need: the oldest are found at once, however
-- many of another status are kept longer. Times are texts that sort by time.
DROP INDEX jobs_by_end;
CREATE INDEX jobs_by_end ON jobs (
    status, json_extract(document, '$.finished_at'), rule, ifnull(json_extract(document, '$.throttles'), 0)
) WHERE status IN ('completed', 'failed', 'cancelled');
-- Received and expired uploads by the end of their link, to remove the oldest of them.
CREATE INDEX uploads_ended ON uploads (expires_at) WHERE status <> 'pending';
