//! Scrubbing in memory: a round is one look at everything.

use crate::content::Content;
use crate::store::MemoryStore;
use crate::world::World;
use filemill_core::ports::{Damage, Holder, ScrubRound, Scrubbed};
use filemill_core::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::PoisonError;

#[derive(Default)]
pub(crate) struct ScrubMemory {
    pub round: Option<ScrubRound>,
    /// When each was found.
    found: BTreeMap<String, Timestamp>,
}

impl MemoryStore {
    pub(crate) fn scrub_all(&self, world: &World, now: Timestamp) -> Scrubbed {
        let mut memory = self.scrub.lock().unwrap_or_else(PoisonError::into_inner);
        let damaged = damaged(world);
        let before = memory.found.len();
        memory.found.retain(|blob, _| damaged.iter().any(|(name, _, _)| name == blob));
        let known = memory.found.len().min(before);
        for (blob, _, _) in damaged {
            memory.found.entry(blob).or_insert(now);
        }
        let round = ScrubRound { began_at: now, ended_at: Some(now) };
        memory.round = Some(round);
        let bytes = contents(world).map(|(_, content, _)| content.size).sum();
        Scrubbed { bytes, damaged: (memory.found.len() - known) as u64, round }
    }

    /// What a scrub has found and is still so.
    pub(crate) fn damage_now(&self, world: &World) -> Vec<Damage> {
        let memory = self.scrub.lock().unwrap_or_else(PoisonError::into_inner);
        let told = damaged(world).into_iter().filter_map(|(blob, size, holder)| {
            let found_at = *memory.found.get(&blob)?;
            let what = "its bytes are not what was stored".to_owned();
            Some(Damage { blob, size, found_at, what, held_by: vec![holder] })
        });
        told.collect()
    }
}

fn damaged(world: &World) -> Vec<(String, u64, Holder)> {
    let bad = contents(world).filter(|(_, content, _)| content.all().is_err());
    let mut bad: Vec<_> = bad.map(|(name, content, holder)| (name, content.size, holder)).collect();
    bad.sort_by(|a, b| a.0.cmp(&b.0));
    bad
}

/// Objects and parts, each under a name that says what it is.
fn contents(world: &World) -> impl Iterator<Item = (String, &Content, Holder)> {
    let objects = world.tables.objects.values().map(|object| {
        let (bucket, key) = (object.info.bucket.clone(), object.info.key.clone());
        let name = format!("{bucket}/{key}@{:?}", object.info.sequencer);
        (name, &object.content, Holder::Object { bucket, key })
    });
    let parts = world.tables.parts.iter().filter_map(|((upload, number), part)| {
        let upload = world.tables.multiparts.get(upload)?.upload.clone();
        Some((part.info.handle.clone(), &part.content, Holder::Part { upload, number: *number }))
    });
    objects.chain(parts)
}
