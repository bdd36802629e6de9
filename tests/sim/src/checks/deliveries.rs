//! Deliveries: each end of a job that is to be told has exactly one for each receiver, ended as the receiver said, and there is
//! none of what did not happen. Ends are taken from the live feed's own history, not from the rules' code.

use super::Evidence;
use crate::receivers::{HOOKS, hook, refuses};
use filemill_core::delivery::{Delivery, DeliveryStatus};
use filemill_core::event::EventKind;
use filemill_core::record::RecordKind;
use std::collections::{BTreeMap, BTreeSet};

/// Job, event, lane.
type Told = (String, String, String);

pub fn tell_each_end_once(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let deliveries = deliveries(evidence, violations);
    let mut counts: BTreeMap<Told, u32> = BTreeMap::new();
    for delivery in &deliveries {
        let notice = &delivery.notice;
        let told = (notice.about.clone(), notice.kind.to_string(), delivery.receiver.lane());
        *counts.entry(told).or_default() += 1;
    }
    let wanted = wanted(evidence);
    for (told, count) in &wanted {
        let found = counts.remove(told).unwrap_or(0);
        if found != *count {
            violations.push(format!("{found} deliveries instead of {count}: {told:?}"));
        }
    }
    counts.retain(|(_, event, _), _| event == "job.completed" || event == "job.failed");
    violations.extend(counts.keys().map(|told| format!("told of what did not happen: {told:?}")));
}

/// Every end that the feed has, once per run, for each receiver.
fn wanted(evidence: &Evidence<'_>) -> BTreeMap<Told, u32> {
    let mut wanted = BTreeMap::new();
    for (_, event) in &evidence.snapshot.events {
        let (Some(job), EventKind::JobCompleted | EventKind::JobFailed) = (&event.job, event.kind) else { continue };
        let mut lanes: Vec<String> = HOOKS.map(|name| hook(name).lane()).to_vec();
        if event.upload.is_some() {
            lanes.push("live".to_owned());
        }
        for lane in lanes {
            *wanted.entry((job.to_string(), event.kind.as_str().to_owned(), lane)).or_default() += 1;
        }
    }
    wanted
}

pub fn reach_their_receivers(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let mut keys: BTreeMap<(String, String), String> = BTreeMap::new();
    for delivery in deliveries(evidence, violations) {
        let (lane, notice) = (delivery.receiver.lane(), delivery.notice.id.to_string());
        if lane == "live" {
            continue;
        }
        let told = evidence.taken.get(&(lane.clone(), notice.clone()));
        let expected = if refuses(&lane, &notice) { DeliveryStatus::Dead } else { DeliveryStatus::Delivered };
        if delivery.status != expected || (expected == DeliveryStatus::Delivered) != told.is_some() {
            violations.push(format!("it was taken {told:?}: {delivery:?}"));
        }
        keys.insert((lane, notice), delivery.id.to_string());
    }
    for (what, sent) in evidence.taken {
        let key = keys.get(what);
        if key.is_none() || sent.iter().any(|given| Some(given) != key) {
            violations.push(format!("{what:?} came with the keys {sent:?} instead of {key:?}"));
        }
    }
}

/// A receiver sees a job's notices for the first time in the order in which they happened.
pub fn come_in_order(evidence: &Evidence<'_>, violations: &mut Vec<String>) {
    let about: BTreeMap<String, String> = deliveries(evidence, violations)
        .into_iter()
        .map(|delivery| (delivery.notice.id.to_string(), delivery.notice.about))
        .collect();
    let (mut seen, mut last) = (BTreeSet::new(), BTreeMap::new());
    for (lane, notice) in evidence.order {
        let (true, Some(job)) = (seen.insert((lane, notice)), about.get(notice)) else { continue };
        if let Some(before) = last.insert((lane, job), notice)
            && before > notice
        {
            violations.push(format!("{lane} was told {notice} behind {before} of {job}"));
        }
    }
}

fn deliveries(evidence: &Evidence<'_>, violations: &mut Vec<String>) -> Vec<Delivery> {
    let records = evidence.snapshot.records.iter().filter(|record| record.kind == RecordKind::Delivery);
    let read = records.filter_map(|record| match record.clone().read::<Delivery>() {
        Ok(revised) => Some(revised.value),
        Err(e) => {
            violations.push(e);
            None
        }
    });
    read.collect()
}
