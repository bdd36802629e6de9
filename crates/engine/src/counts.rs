//! The counters of ended jobs, by rule: what rates of errors and of throttling are made of outside.

use filemill_core::job::JobStatus;
use filemill_core::ports::ChangeSet;
use filemill_core::rule::RuleSet;
use metrics::counter;

/// A job that a change set ends, counted once the set is stored.
pub(crate) struct Ended {
    rule: String,
    status: JobStatus,
    was_throttled: bool,
}

impl Ended {
    pub fn by(changes: &ChangeSet) -> Vec<Self> {
        let ended = changes.jobs_ended().map(|job| Ended {
            rule: job.rule.to_string(),
            status: job.status,
            was_throttled: job.throttles > 0 && job.status != JobStatus::Cancelled,
        });
        ended.collect()
    }

    pub fn count(self) {
        add(self.rule, self.status, self.was_throttled, 1);
    }
}

/// A rate does not see a counter whose first sample is 1.
pub(crate) fn begin_at_zero(rules: &RuleSet) {
    for rule in rules.all() {
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_terminal()) {
            add(rule.id.to_string(), status, true, 0);
        }
    }
}

fn add(rule: String, status: JobStatus, was_throttled: bool, count: u64) {
    if was_throttled {
        counter!("filemill_jobs_throttled_total", "rule" => rule.clone()).increment(count);
    }
    counter!("filemill_jobs_total", "rule" => rule, "status" => status.as_str()).increment(count);
}
