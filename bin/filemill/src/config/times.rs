//! How often things are compared and how long they are kept: what the file says, or the defaults, within bounds.

use super::file::{self, ConfigFile, Kept};
use filemill_core::duration::format_duration;
use filemill_engine::{ReconcileSettings, Retention};
use std::ops::RangeInclusive;
use std::time::Duration;

const RECONCILE_RANGE: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(7 * 86_400);
const SETTLE_RANGE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
const EXPIRY_RANGE: RangeInclusive<Duration> = Duration::from_secs(60)..=YEARS_100;
/// What is removed sooner could still be announced, asked for or finished.
const RETENTION_RANGE: RangeInclusive<Duration> = Duration::from_secs(600)..=YEARS_100;
/// At least a day for what somebody has to see, and for promises: an object may come long after its link ended.
const LONG_RETENTION_RANGE: RangeInclusive<Duration> = Duration::from_secs(86_400)..=YEARS_100;
const YEARS_100: Duration = Duration::from_secs(36_500 * 86_400);

pub(super) fn reconcile(file: &file::Reconcile) -> ReconcileSettings {
    let default = ReconcileSettings::default();
    let every = file.every.or(default.every).filter(|_| file.enabled);
    ReconcileSettings { every, settle: file.settle.unwrap_or(default.settle) }
}

pub(super) fn retention(file: &file::Retention) -> Retention {
    let or = |given: Option<Kept>, default: Option<Duration>| match given {
        Some(Kept::For(time)) => Some(time),
        Some(Kept::ForEver) => None,
        None => default,
    };
    let default = Retention::default();
    Retention {
        jobs: or(file.jobs, default.jobs),
        events: or(file.events, default.events),
        uploads: or(file.uploads, default.uploads),
        removed_files: or(file.removed_files, default.removed_files),
        deliveries: or(file.deliveries, default.deliveries),
        dead_letters: or(file.dead_letters, default.dead_letters),
        audit: or(file.audit, default.audit),
    }
}

pub(super) fn check(file: &ConfigFile) -> Result<(), String> {
    lasts("reconcile.every", file.reconcile.every, &RECONCILE_RANGE)?;
    lasts("reconcile.settle", file.reconcile.settle, &SETTLE_RANGE)?;
    for (name, bucket) in &file.buckets {
        lasts(&format!("buckets.{name}.expire_after"), bucket.expire_after, &EXPIRY_RANGE)?;
    }
    let kept = &file.retention;
    for (key, kept, range) in [
        ("jobs", kept.jobs, &RETENTION_RANGE),
        ("events", kept.events, &RETENTION_RANGE),
        ("uploads", kept.uploads, &LONG_RETENTION_RANGE),
        ("removed_files", kept.removed_files, &RETENTION_RANGE),
        ("deliveries", kept.deliveries, &LONG_RETENTION_RANGE),
        ("dead_letters", kept.dead_letters, &LONG_RETENTION_RANGE),
        ("audit", kept.audit, &LONG_RETENTION_RANGE),
    ] {
        if let Some(Kept::For(time)) = kept {
            lasts(&format!("retention.{key}"), Some(time), range)?;
        }
    }
    Ok(())
}

fn lasts(key: &str, given: Option<Duration>, range: &RangeInclusive<Duration>) -> Result<(), String> {
    match given {
        Some(time) if !range.contains(&time) => {
            let (from, to) = (format_duration(*range.start()), format_duration(*range.end()));
            Err(format!("{key} is {}; use \"{from}\" to \"{to}\"", format_duration(time)))
        }
        _ => Ok(()),
    }
}
