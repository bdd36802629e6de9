//! One line in the log for each change of a state: file, upload, job. Written once the commit stands, by whoever made it.
//!
//! The same names and fields as the events of the live feed. Progress is no change of state; deliveries and alarms log
//! theirs where they change.

use filemill_core::event::{EventKind, NewEvent};
use filemill_core::ports::{Change, ChangeSet};
use serde_json::Value;

/// What is to be said of these changes, before the commit takes them.
pub(crate) fn lines_of(changes: &ChangeSet) -> Vec<NewEvent> {
    let told = |change: &Change| match change {
        Change::Emit(event) if event.kind != EventKind::JobProgress => Some(event.clone()),
        _ => None,
    };
    if tracing::enabled!(tracing::Level::WARN) { changes.changes.iter().filter_map(told).collect() } else { Vec::new() }
}

pub(crate) fn write(lines: &[NewEvent]) {
    lines.iter().for_each(write_one);
}

fn write_one(event: &NewEvent) {
    let text = |field: &str| event.data[field].as_str();
    let (bucket, key, rule) = (text("bucket"), text("key"), text("rule"));
    let [job, file, upload] = [shown(&event.job), shown(&event.file), shown(&event.upload)];
    let [job, file, upload] = [&job, &file, &upload].map(Option::as_deref);
    if let Value::Object(why) = &event.data["failure"] {
        let [code, message] = ["code", "message"].map(|field| why.get(field).and_then(Value::as_str));
        let dead_letter = text("dead_letter");
        tracing::warn!(job, upload, rule, bucket, key, code, cause = message, dead_letter, "{}", event.kind.as_str());
    } else {
        let bytes = event.data["size"].as_u64().or(event.data["bytes"]["total"].as_u64());
        tracing::info!(job, file, upload, rule, bucket, key, bytes, "{}", event.kind.as_str());
    }
}

fn shown<T: ToString>(id: &Option<T>) -> Option<String> {
    id.as_ref().map(ToString::to_string)
}
