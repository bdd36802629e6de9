//! A delivery: one notice on its way to one receiver. Stored before it is sent, retried for a day, listed, sent again by
//! hand. Decisions are pure: a delivery, what happened, the time and chance give the delivery as it is to be stored.
//!
//! Whoever sends claims first: the attempt is counted and the claim stored, guarded by the record's revision. A crash
//! behind the claim leaves a delivery that is sent again once the claim is over, with the same notice id.

use crate::ids::DeliveryId;
use crate::lane::Lane;
use crate::limits;
use crate::notice::{Notice, Receiver};
use crate::ports::{Change, NotifyError};
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    Pending,
    Delivered,
    /// The receiver refused for good, or was not reached in a day. A person may send it again.
    Dead,
}

impl DeliveryStatus {
    pub const ALL: [DeliveryStatus; 3] = [DeliveryStatus::Pending, DeliveryStatus::Delivered, DeliveryStatus::Dead];

    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryStatus::Pending => "pending",
            DeliveryStatus::Delivered => "delivered",
            DeliveryStatus::Dead => "dead",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        DeliveryStatus::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// As stored. Found by `status`, `kind` (of the receiver), `event`, `about`, `upload`, `rule`; while pending by `lane`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: DeliveryId,
    pub notice: Notice,
    pub receiver: Receiver,
    pub status: DeliveryStatus,
    /// Calls so far, counted before they are made.
    pub attempts: u32,
    /// Failures at its own time: they make the wait longer. Tries before it do not count.
    pub failures: u32,
    /// While pending: when it is tried at the latest, unless its receiver is down.
    pub due_at: Option<Timestamp>,
    /// Somebody is sending it until then.
    #[serde(default)]
    pub claimed_until: Option<Timestamp>,
    #[serde(default)]
    pub last_attempt_at: Option<Timestamp>,
    #[serde(default)]
    pub last_error: Option<String>,
    pub gives_up_at: Timestamp,
    #[serde(default)]
    pub ended_at: Option<Timestamp>,
}

impl Delivery {
    /// Due at once. To the live feed it is delivered by being stored: its listeners read what is stored.
    pub fn new(notice: Notice, receiver: Receiver) -> Self {
        let at = notice.at;
        let is_live = receiver == Receiver::Live;
        Delivery {
            id: DeliveryId::of(&notice.id, notice.kind as u8, &receiver.identity(), at),
            status: if is_live { DeliveryStatus::Delivered } else { DeliveryStatus::Pending },
            attempts: u32::from(is_live),
            failures: 0,
            due_at: (!is_live).then_some(at),
            claimed_until: None,
            last_attempt_at: is_live.then_some(at),
            last_error: None,
            gives_up_at: at.plus(limits::DELIVERY_TTL),
            ended_at: is_live.then_some(at),
            notice,
            receiver,
        }
    }

    /// To be committed with what it tells of.
    pub fn birth(&self) -> Change {
        Change::PutRecord(Box::new(self.record(1)))
    }

    pub fn lane(&self) -> String {
        self.receiver.lane()
    }

    /// May it be tried now, if there is room in its lane?
    pub fn is_ready(&self, lane: &Lane, now: Timestamp) -> bool {
        if self.status != DeliveryStatus::Pending || self.claimed_until.is_some_and(|until| until > now) {
            return false;
        }
        self.is_due(now) || (self.may_be_early(now) && (lane.is_down() || lane.is_back_since(self.last_attempt_at)))
    }

    /// When it is ready at the latest, if its receiver is well.
    pub fn ready_at(&self) -> Option<Timestamp> {
        self.due_at.max(self.claimed_until)
    }

    /// A time that was chosen by a clock that was set back since says nothing: it may be hours ahead.
    fn is_due(&self, now: Timestamp) -> bool {
        let chosen_at = self.last_attempt_at.unwrap_or(self.notice.at);
        let was_set_back = chosen_at > now.plus(limits::CLOCKS_APART_MAX);
        self.due_at.is_some_and(|at| at <= now || was_set_back)
    }

    fn may_be_early(&self, now: Timestamp) -> bool {
        let paused = self.last_attempt_at.is_some_and(|at| now.since(at) < limits::DELIVERY_EARLY_PAUSE);
        !paused && self.attempts < limits::DELIVERY_EARLY_TRIES_MAX
    }

    /// Is its day over, with nobody sending it?
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        let claimed = self.claimed_until.is_some_and(|until| until > now);
        self.status == DeliveryStatus::Pending && !claimed && self.gives_up_at <= now
    }

    /// As stored before it is sent. A try before its time leaves its time alone.
    pub fn claimed(&self, now: Timestamp) -> Delivery {
        let mut next = self.clone();
        next.attempts += 1;
        next.last_attempt_at = Some(now);
        next.claimed_until = Some(now.plus(self.receiver.patience() + limits::DELIVERY_CLAIM_MARGIN));
        next
    }

    pub fn delivered(&self, now: Timestamp) -> Delivery {
        self.ended(DeliveryStatus::Delivered, None, now)
    }

    /// Tried again later, or dead. `chance` is uniform over u64 and spreads retries.
    pub fn failed(&self, error: &NotifyError, now: Timestamp, chance: u64) -> Delivery {
        let message = error.message().chars().take(limits::DELIVERY_ERROR_CHARS_MAX).collect();
        let retry_after = match error {
            NotifyError::Permanent { .. } => return self.ended(DeliveryStatus::Dead, Some(message), now),
            NotifyError::Transient { retry_after, .. } => *retry_after,
            NotifyError::NotTaken { .. } => None,
        };
        if now >= self.gives_up_at {
            return self.ended(DeliveryStatus::Dead, Some(message), now);
        }
        let mut next = self.clone();
        next.claimed_until = None;
        next.last_error = Some(message);
        if self.is_due(now) {
            next.failures += 1;
            let wait =
                wait_after(next.failures, chance).max(retry_after.unwrap_or_default().min(limits::RETRY_AFTER_MAX));
            next.due_at = Some(now.plus(wait).min(self.gives_up_at));
        }
        next
    }

    /// Its day is over.
    pub fn buried(&self, now: Timestamp) -> Delivery {
        let last = self.last_error.as_deref().unwrap_or("it was not tried: its receiver was down all the time");
        self.ended(DeliveryStatus::Dead, Some(last.to_owned()), now)
    }

    /// A person's order: the same notice once more, now, with a day of its own. `Err` says why not.
    pub fn resent(&self, now: Timestamp) -> Result<Delivery, &'static str> {
        if self.receiver == Receiver::Live {
            return Err("it went to the live feed; read it there with Last-Event-ID, or from this list");
        }
        let mut next = self.clone();
        next.status = DeliveryStatus::Pending;
        next.failures = 0;
        next.due_at = Some(now);
        next.gives_up_at = now.plus(limits::DELIVERY_TTL);
        next.ended_at = None;
        Ok(next)
    }

    fn ended(&self, status: DeliveryStatus, error: Option<String>, now: Timestamp) -> Delivery {
        let mut next = self.clone();
        next.status = status;
        next.due_at = None;
        next.claimed_until = None;
        next.last_error = error;
        next.ended_at = Some(now);
        next
    }
}

/// Three times as long each time, a quarter of it chance.
fn wait_after(failures: u32, chance: u64) -> Duration {
    let factor = 3u32.saturating_pow(failures.saturating_sub(1).min(15));
    let full = limits::DELIVERY_BACKOFF_FIRST.saturating_mul(factor).min(limits::DELIVERY_BACKOFF_MAX);
    full - (full / 4).mul_f64(chance as f64 / u64::MAX as f64)
}

impl Recorded for Delivery {
    const KIND: RecordKind = RecordKind::Delivery;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        let notice = &self.notice;
        let lane = (self.status == DeliveryStatus::Pending).then(|| self.lane());
        let fields = [
            ("status", Some(self.status.as_str().to_owned())),
            ("kind", Some(self.receiver.kind().to_owned())),
            ("event", Some(notice.kind.as_str().to_owned())),
            ("about", Some(notice.about.clone())),
            ("upload", notice.upload.as_ref().map(ToString::to_string)),
            ("rule", notice.rule.as_ref().map(ToString::to_string)),
            ("lane", lane),
            ("bucket", notice.of.as_ref().map(|of| of.bucket.to_string())),
            ("key", notice.of.as_ref().map(|of| of.key.to_string())),
            ("owner", notice.of.as_ref().and_then(|of| of.owner.as_ref()).map(ToString::to_string)),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }

    fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }
}

#[cfg(test)]
mod tests;
