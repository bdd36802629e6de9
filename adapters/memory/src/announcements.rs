//! Announcements of objects: written with the object, handed out until acknowledged (B8).
//!
//! By plan they come late, out of order, again after they were acknowledged, or never.

use crate::store::MemoryStore;
use crate::world::{Counter, Waiting, World};
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{Announcement, AnnouncementKind, BlobError};
use filemill_core::time::Timestamp;
use std::time::Duration;

impl World {
    /// Part of the call that changes the object.
    pub fn announce(&mut self, kind: AnnouncementKind, info: &ObjectInfo, now: Timestamp) {
        let id = self.next(Counter::Announcement);
        if self.dice.roll(self.plan.lost_announcement) {
            return;
        }
        let announcement = Announcement {
            id,
            kind,
            bucket: info.bucket.clone(),
            key: info.key.clone(),
            size: info.size,
            etag: info.etag.clone(),
            sequencer: info.sequencer.clone(),
            content_type: info.attributes.content_type.clone(),
            origin: info.attributes.origin.clone(),
            owner: info.attributes.owner.clone(),
            at: now,
        };
        for _ in 0..self.dice.up_to(self.plan.copies_max) {
            let copy = Announcement { id: self.next(Counter::Announcement), ..announcement.clone() };
            self.hand_out(copy, now);
        }
        self.hand_out(announcement, now);
    }

    fn hand_out(&mut self, announcement: Announcement, now: Timestamp) {
        let late = self.dice.wait(self.plan.late_announcement, self.plan.late_max);
        let late = late.map_or(Duration::ZERO, |late| late.max(self.plan.late_min));
        let waiting = Waiting { visible_at: now.plus(late), announcement };
        self.set(|t| &mut t.announcements, waiting.announcement.id, Some(waiting));
    }

    pub fn waiting_announcements(&mut self, limit: u32, now: Timestamp) -> Vec<Announcement> {
        let World { tables, dice, plan, .. } = self;
        let visible = tables.announcements.values().filter(|w| w.visible_at <= now);
        let mut found: Vec<&Announcement> = visible.map(|w| &w.announcement).collect();
        if dice.roll(plan.duplicate_announcement) {
            let nth = dice.below(tables.acknowledged.len() as u64) as usize;
            found.extend(tables.acknowledged.values().nth(nth));
        }
        if dice.roll(plan.reorder) {
            dice.shuffle(&mut found);
        }
        found.into_iter().take(limit as usize).cloned().collect()
    }

    pub fn acknowledge(&mut self, ids: &[u64]) -> Result<(), BlobError> {
        for id in ids {
            if let Some(waiting) = self.set(|t| &mut t.announcements, *id, None) {
                self.set(|t| &mut t.acknowledged, *id, Some(waiting.announcement));
            }
        }
        Ok(())
    }
}

impl MemoryStore {
    /// Waits for a visible announcement: one that is there, one that was held back, or a new one.
    pub(crate) async fn wait_for_announcement(&self) {
        loop {
            let ring = self.announced.notified();
            tokio::pin!(ring);
            ring.as_mut().enable();
            let next = self.world().tables.announcements.values().map(|w| w.visible_at).min();
            let now = self.now();
            match next {
                Some(at) if at <= now => return,
                Some(at) => tokio::select! {
                    biased;
                    () = &mut ring => {}
                    () = self.clock.sleep(at.since(now)) => {}
                },
                None => ring.await,
            }
        }
    }
}
