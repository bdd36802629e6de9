//! The checkers. Each looks at the evidence and writes down, in a sentence, what must not be.

mod deliveries;
mod events;
mod files;
mod jobs;
mod leftovers;
pub mod letters;
mod results;

pub use results::sed;

use crate::ledger::Ledger;
use crate::receivers::Taken;
use crate::scenario::Scenario;
use filemill_memory::{MemoryStore, Snapshot};

pub struct Evidence<'a> {
    pub scenario: &'a Scenario,
    pub store: &'a MemoryStore,
    pub snapshot: &'a Snapshot,
    pub ledger: &'a Ledger,
    /// What receivers took, and in which order.
    pub taken: &'a Taken,
    pub order: &'a [(String, String)],
}

/// What holds at every instant.
pub fn always(snapshot: &Snapshot, violations: &mut Vec<String>) {
    jobs::count_each_chunk_once(snapshot, violations);
    jobs::can_all_go_on(snapshot, violations);
    letters::belong_to_their_jobs(snapshot, violations);
}

/// Has every object a file and every file an object?
pub fn records_are_complete(snapshot: &Snapshot) -> bool {
    let mut violations = Vec::new();
    files::are_the_objects(snapshot, &mut violations);
    violations.is_empty()
}

/// What holds once all is quiet, overdue and swept.
pub fn at_the_end(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    always(evidence.snapshot, violations);
    files::keep_what_was_acknowledged(evidence, violations);
    files::are_the_objects(evidence.snapshot, violations);
    files::are_marked_only_where_something_was_lost(evidence, violations);
    jobs::are_born_once(evidence, violations);
    jobs::end_with_a_reason(evidence, violations);
    results::equal_the_one_pass(evidence, violations);
    events::tell_each_end_once(evidence, violations);
    letters::are_ended_by_an_order(evidence, violations);
    deliveries::tell_each_end_once(evidence, violations);
    deliveries::reach_their_receivers(evidence, violations);
    deliveries::come_in_order(evidence, violations);
    leftovers::are_none(evidence, violations);
}
