//! The objects that are made of one upload, over all generations: a set with a cap, so that rules that feed rules end.
//!
//! A set and no number: what runs again, is delivered twice or is overwritten is the same member. It is stored in the
//! commit that bears the jobs, under its revision, so that several engines at once keep one cap.

use crate::ids::{FileId, OriginalId};
use crate::record::{RecordFields, RecordKind, Recorded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Named are the results of jobs that started from results, and what they started from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedObjects {
    pub original: OriginalId,
    /// At most [`DERIVED_OBJECTS_MAX`](crate::limits::DERIVED_OBJECTS_MAX).
    pub objects: BTreeSet<FileId>,
}

impl DerivedObjects {
    pub fn of(original: OriginalId) -> Self {
        DerivedObjects { original, objects: BTreeSet::new() }
    }

    /// Takes in all of these, or none where that would make more than `max`. Those that are in it cost nothing.
    pub fn admit(&mut self, objects: BTreeSet<FileId>, max: usize) -> bool {
        let new = objects.difference(&self.objects).count();
        let fits = new == 0 || self.objects.len() + new <= max;
        if fits {
            self.objects.extend(objects);
        }
        fits
    }
}

impl Recorded for DerivedObjects {
    const KIND: RecordKind = RecordKind::DerivedObjects;

    fn id(&self) -> &str {
        self.original.as_str()
    }

    fn fields(&self) -> RecordFields {
        RecordFields::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;
    use crate::time::Timestamp;

    fn objects(numbers: std::ops::Range<usize>) -> BTreeSet<FileId> {
        numbers.map(|n| FileId::of("results", &n.to_string())).collect()
    }

    fn none_yet() -> DerivedObjects {
        DerivedObjects::of(OriginalId::of("uploads", "a", "01", Timestamp::from_millis(1_700_000_000_000)))
    }

    #[test]
    fn all_of_a_job_fits_or_nothing_is_counted() {
        let mut derived = none_yet();
        assert!(derived.admit(objects(0..3), 4));
        assert!(!derived.admit(objects(3..5), 4));
        assert_eq!(derived.objects, objects(0..3));
        assert!(derived.admit(objects(3..4), 4));
    }

    #[test]
    fn an_object_counts_once_and_stays_in_under_a_lower_cap() {
        let mut derived = none_yet();
        assert!(derived.admit(objects(0..3), 3) && derived.admit(objects(1..3), 3));
        assert_eq!(derived.objects.len(), 3);
        assert!(derived.admit(objects(0..2), 1) && !derived.admit(objects(2..4), 1));
    }

    #[test]
    fn the_largest_record_fits_an_item_of_400_kb() {
        let mut derived = none_yet();
        assert!(derived.admit(objects(0..limits::DERIVED_OBJECTS_MAX), limits::DERIVED_OBJECTS_MAX));
        assert!(derived.record(1).document.to_string().len() < 400_000);
    }
}
