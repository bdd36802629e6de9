-- Jobs by the time of their end, with all that rates over a window need. Times are texts that sort by time.
CREATE INDEX jobs_by_end ON jobs (
    json_extract(document, '$.finished_at'), rule, status, ifnull(json_extract(document, '$.throttles'), 0)
) WHERE status IN ('completed', 'failed');
