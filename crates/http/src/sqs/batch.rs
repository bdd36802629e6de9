//! What all batches share: one to ten entries with ids of their own, and an answer for each.

use super::errors::Refusal;
use filemill_core::limits::MESSAGE_BATCH_MAX;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

pub fn check<'a>(ids: impl ExactSizeIterator<Item = &'a str>) -> Result<(), Refusal> {
    match ids.len() {
        0 => return Err(Refusal::empty_batch()),
        1..=MESSAGE_BATCH_MAX => {}
        more => return Err(Refusal::batch_too_large(more, MESSAGE_BATCH_MAX)),
    }
    let mut seen = BTreeSet::new();
    for id in ids {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        if !(1..=80).contains(&id.len()) || !id.bytes().all(fits) {
            return Err(Refusal::batch_id(&id.chars().take(100).collect::<String>()));
        }
        if !seen.insert(id) {
            return Err(Refusal::batch_ids_not_distinct(id));
        }
    }
    Ok(())
}

#[derive(Default)]
pub struct Answers {
    pub successful: Vec<Value>,
    failed: Vec<Value>,
}

impl Answers {
    pub fn fail(&mut self, id: &str, refusal: &Refusal) {
        let Refusal { status, query_code, message, .. } = refusal;
        self.failed.push(json!({ "Id": id, "SenderFault": *status < 500, "Code": query_code, "Message": message }));
    }

    /// A list without entries is left out: scripts ask whether `Failed` is there.
    pub fn into_value(self) -> Value {
        let lists = [("Successful", self.successful), ("Failed", self.failed)];
        let lists = lists.into_iter().filter(|(_, entries)| !entries.is_empty());
        lists.map(|(name, entries)| (name.to_owned(), entries.into())).collect::<Map<String, Value>>().into()
    }
}
