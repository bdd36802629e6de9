//! Leftovers: after the last sweep nothing is stored that belongs to no object and no open job.

use super::Evidence;

pub fn are_none(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let snapshot = evidence.snapshot;
    let mut left = |what: &str, found: String, count: usize| {
        if count > 0 {
            violations.push(format!("{count} {what} left behind: {found}"));
        }
    };
    left("multipart uploads", format!("{:?}", snapshot.multiparts), snapshot.multiparts.len());
    left("parts", format!("{:?}", snapshot.parts), snapshot.parts.len());
    left("tasks", format!("{:?}", snapshot.tasks), snapshot.tasks.len());
    left("chunk records", format!("{:?}", snapshot.chunks), snapshot.chunks.len());
    left("surveys", format!("{:?}", snapshot.surveys), snapshot.surveys.len());
    left("announcements", format!("{:?}", snapshot.announcements), snapshot.announcements.len());
    left("staged pieces", String::new(), snapshot.staged_alive as usize);
}
