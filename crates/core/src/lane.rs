//! How a receiver does, as one process sees it: how many notices it may get at a time, and whether it is down. Pure.
//!
//! Nothing of it is stored. It only says what may be sent now; that everything is sent, and once at a time, is the
//! deliveries' own affair. After a restart the oldest notice that waits for a receiver says how it did.

use crate::limits;
use crate::ports::NotifyError;
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// In a row, with no success between.
    failures: u32,
    /// They were another's who called it, such as the process before this one.
    are_hearsay: bool,
    /// While it is down: when one notice finds out whether it is back.
    probe_at: Timestamp,
    /// It asked for time until then.
    paused_until: Timestamp,
    /// When it last did well after it had failed.
    returned_at: Option<Timestamp>,
    running: usize,
    /// Where the search for ready notices goes on; `None` from the oldest.
    pub scan_from: Option<String>,
    /// Successes of the last minute, for receivers that take so many and no more.
    told: VecDeque<Timestamp>,
    digested_at: Option<Timestamp>,
}

/// How notices leave for an address, so that nobody's mailbox is flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mails {
    /// One by one, so many at most.
    Single(usize),
    /// In one mail that lists them.
    Together,
    /// Not now.
    Later,
}

impl Lane {
    /// Of a receiver that this process has not called yet: the oldest notice that waits for it failed so often at its own
    /// times. If that is as often as makes a receiver down, it is asked again at once whether it is back.
    pub fn of_waiting(failures: u32) -> Self {
        Lane { failures: failures.min(limits::LANE_FAILURES_MAX), are_hearsay: true, ..Lane::default() }
    }

    pub fn is_down(&self) -> bool {
        self.failures >= limits::LANE_FAILURES_MAX
    }

    /// Did it come back at this try or behind it?
    pub fn is_back_since(&self, tried_at: Option<Timestamp>) -> bool {
        self.returned_at.is_some_and(|back| tried_at.is_some_and(|tried| tried <= back))
    }

    /// Nothing of it is worth remembering: what it was told in the last minute is.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        let is_recent = |at: &Timestamp| now.since(*at) < Duration::from_secs(60);
        let remembers = self.told.back().is_some_and(is_recent) || self.digested_at.as_ref().is_some_and(is_recent);
        self.running == 0 && self.failures == 0 && !remembers
    }

    /// How many more may be sent now.
    pub fn room(&self, now: Timestamp) -> usize {
        if now < self.paused_until {
            return 0;
        }
        if self.is_down() {
            return usize::from(self.running == 0 && now >= self.probe_at);
        }
        limits::DELIVERIES_PER_LANE_MAX.saturating_sub(self.running)
    }

    /// So many single ones within a minute, those on their way included; then one that lists the rest, once a minute.
    pub fn mails(&mut self, now: Timestamp) -> Mails {
        let minute = Duration::from_secs(60);
        while self.told.front().is_some_and(|at| now.since(*at) >= minute) {
            self.told.pop_front();
        }
        match limits::MAILS_PER_MINUTE_MAX.saturating_sub(self.told.len()) {
            0 if self.running == 0 && self.digested_at.is_none_or(|at| now.since(at) >= minute) => Mails::Together,
            0 => Mails::Later,
            // what is on its way may fail, and then counts for nothing
            left if left <= self.running => Mails::Later,
            left => Mails::Single(left - self.running),
        }
    }

    /// When there is room again; `None` if that is when a call ends.
    pub fn opens_at(&self) -> Option<Timestamp> {
        let probed = if self.is_down() { self.probe_at } else { Timestamp::ZERO };
        (self.running == 0).then(|| probed.max(self.paused_until))
    }

    /// The wall clock was set: what was noted by it before says nothing of now.
    pub fn clock_was_set(&mut self) {
        *self =
            Lane { failures: self.failures, are_hearsay: self.are_hearsay, running: self.running, ..Lane::default() };
    }

    pub fn running(&self) -> usize {
        self.running
    }

    pub fn started(&mut self) {
        self.running += 1;
    }

    pub fn digested(&mut self, now: Timestamp) {
        self.digested_at = Some(now);
    }

    /// `chance` is uniform over u64 and spreads the looks of several processes.
    pub fn ended(&mut self, outcome: Result<&(), &NotifyError>, now: Timestamp, chance: u64) {
        self.running = self.running.saturating_sub(1);
        match outcome {
            Ok(&()) => self.did_well(now),
            // the receiver answered: this notice is refused, the next one may not be
            Err(NotifyError::Permanent { .. } | NotifyError::NotTaken { .. }) => {
                if std::mem::take(&mut self.are_hearsay) {
                    self.failures = 0;
                }
            }
            Err(NotifyError::Transient { retry_after, .. }) => {
                self.are_hearsay = false;
                self.failures = self.failures.saturating_add(1);
                let spread = (limits::LANE_PROBE / 4).mul_f64(chance as f64 / u64::MAX as f64);
                self.probe_at = now.plus(limits::LANE_PROBE - spread);
                if let Some(wait) = retry_after {
                    self.paused_until = now.plus((*wait).min(limits::RETRY_AFTER_MAX));
                }
            }
        }
    }

    fn did_well(&mut self, now: Timestamp) {
        self.are_hearsay = false;
        if self.failures > 0 {
            self.returned_at = Some(now);
        }
        self.failures = 0;
        self.told.push_back(now);
        while self.told.len() > limits::MAILS_PER_MINUTE_MAX {
            self.told.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn transient(retry_after: Option<Duration>) -> NotifyError {
        NotifyError::Transient { message: "down".into(), retry_after }
    }

    #[test]
    fn a_receiver_that_is_down_is_asked_by_one_notice_at_a_time_until_it_is_back() {
        let mut lane = Lane::default();
        assert_eq!(lane.room(at(0)), limits::DELIVERIES_PER_LANE_MAX);
        for second in 0..3 {
            lane.started();
            lane.ended(Err(&transient(None)), at(second), u64::MAX);
        }
        assert!(lane.is_down());
        assert_eq!((lane.room(at(31)), lane.room(at(32))), (0, 1));
        lane.started();
        assert_eq!(lane.room(at(99)), 0, "one at a time");
        lane.ended(Ok(&()), at(99), 0);
        assert_eq!(lane.room(at(99)), limits::DELIVERIES_PER_LANE_MAX);
        assert!(lane.is_back_since(Some(at(2))) && !lane.is_back_since(Some(at(100))) && !lane.is_back_since(None));
    }

    #[test]
    fn one_that_asks_for_time_gets_it_within_reason() {
        let mut lane = Lane::default();
        lane.started();
        lane.ended(Err(&transient(Some(Duration::from_secs(90)))), at(0), 0);
        assert_eq!((lane.room(at(89)), lane.room(at(90))), (0, limits::DELIVERIES_PER_LANE_MAX));
        lane.started();
        lane.ended(Err(&transient(Some(Duration::from_secs(1_000_000)))), at(100), 0);
        assert!(lane.room(at(100 + 3600)) > 0);
    }

    #[test]
    fn what_is_refused_for_good_says_nothing_against_the_receiver() {
        let mut lane = Lane::default();
        for _ in 0..9 {
            lane.started();
            lane.ended(Err(&NotifyError::Permanent { message: "no".into() }), at(0), 0);
        }
        assert!(!lane.is_down() && lane.is_idle(at(99)));
    }

    #[test]
    fn the_twenty_first_message_within_a_minute_is_a_digest() {
        let mut lane = Lane::default();
        for sent in 0..limits::MAILS_PER_MINUTE_MAX {
            assert_eq!(lane.mails(at(5)), Mails::Single(limits::MAILS_PER_MINUTE_MAX - sent));
            lane.started();
            lane.ended(Ok(&()), at(5), 0);
        }
        assert_eq!(lane.mails(at(6)), Mails::Together);
        lane.digested(at(6));
        assert_eq!(lane.mails(at(30)), Mails::Later);
        assert_eq!(lane.mails(at(65)), Mails::Single(limits::MAILS_PER_MINUTE_MAX), "the minute is over");
    }

    #[test]
    fn what_another_heard_of_a_receiver_lasts_until_it_answers() {
        let ended = |outcome: Result<(), NotifyError>| {
            let mut lane = Lane::of_waiting(9);
            assert!(lane.is_down() && lane.room(at(0)) == 1, "it is asked at once, by one");
            lane.started();
            lane.ended(outcome.as_ref().map(|()| &()), at(0), 0);
            (lane.is_down(), lane.is_back_since(Some(at(0))))
        };
        assert_eq!(ended(Ok(())), (false, true));
        assert_eq!(ended(Err(transient(None))), (true, false));
        assert_eq!(ended(Err(NotifyError::NotTaken { message: "status 404".into() })), (false, false));
        assert!(!Lane::of_waiting(2).is_down(), "those are due again within a minute");
    }

    #[test]
    fn messages_on_their_way_count() {
        let mut lane = Lane::default();
        for _ in 0..limits::MAILS_PER_MINUTE_MAX {
            lane.started();
        }
        assert_eq!(lane.mails(at(0)), Mails::Later, "what follows may still be single ones");
        lane.ended(Err(&NotifyError::Permanent { message: "no".into() }), at(1), 0);
        assert_eq!(lane.mails(at(1)), Mails::Single(1));
        for _ in 1..limits::MAILS_PER_MINUTE_MAX {
            lane.ended(Ok(&()), at(1), 0);
        }
        assert_eq!(lane.mails(at(1)), Mails::Single(1));
    }

    #[test]
    fn a_notice_that_is_not_taken_says_nothing_of_the_receiver() {
        let mut lane = Lane::default();
        for _ in 0..10 {
            lane.started();
            lane.ended(Err(&NotifyError::NotTaken { message: "status 404".into() }), at(0), 0);
        }
        assert!(!lane.is_down() && lane.room(at(0)) > 0);
    }

    #[test]
    fn what_was_told_within_a_minute_is_remembered() {
        let mut lane = Lane::default();
        lane.started();
        lane.ended(Ok(&()), at(0), 0);
        assert!(!lane.is_idle(at(59)) && lane.is_idle(at(60)));
    }
}
