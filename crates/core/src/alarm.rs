//! Alarms: a figure that is beyond its limit for a time raises one, and resolves it when it is back. Pure: the state that is
//! stored, the value and the time give the next state and what is to be told.
//!
//! State and history are records, so that restarts and several processes see one truth. `for` is measured on the clock.

use crate::ids::{AlarmChangeId, NoticeId};
use crate::notice::{Notice, NoticeKind, Receiver};
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::rule::{Name, QueueName, RuleId};
use crate::size::ByteSize;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

/// What there is one value of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    Service,
    EachQueue,
    EachRule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    DeadDepth,
    QueueDepth,
    QueueOldestAge,
    JobErrorRate,
    JobThrottleRate,
    DeliveryFailed,
    ReconcileRepaired,
    DiskFree,
}

/// What a metric's number is a number of, so that a limit in another unit is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
    Percent,
    Bytes,
}

impl Unit {
    /// For people: `3`, `5m 12s`, `12.5%`, `32.6 GiB`.
    pub fn shown(self, value: f64) -> String {
        match self {
            Unit::Count => plain(value),
            Unit::Seconds if value < 60.0 => format!("{}s", plain(value)),
            Unit::Seconds => in_two_units(value as u64),
            Unit::Percent => format!("{}%", plain(value)),
            Unit::Bytes => ByteSize(value as u64).to_string(),
        }
    }
}

/// A whole number as one, others to two places.
fn plain(value: f64) -> String {
    let text = format!("{value:.2}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// From a minute on.
fn in_two_units(secs: u64) -> String {
    let ((large, size), (small, part)) = match secs {
        ..3600 => (("m", 60), ("s", 1)),
        3600..86_400 => (("h", 3600), ("m", 60)),
        _ => (("d", 86_400), ("h", 3600)),
    };
    match secs % size / part {
        0 => format!("{}{large}", secs / size),
        rest => format!("{}{large} {rest}{small}", secs / size),
    }
}

type Line = (Metric, &'static str, Scope, Unit, &'static str);

/// One line for each: its name, what there is one of, and what its number is.
const METRICS: &[Line] = {
    use Metric::*;
    use Scope::*;
    use Unit::*;
    &[
        (DeadDepth, "dead.depth", EachQueue, Count, "dead letters"),
        (QueueDepth, "queue.depth", EachQueue, Count, "tasks that wait"),
        (QueueOldestAge, "queue.oldest_age", EachQueue, Seconds, "how long the oldest ready task has waited"),
        (JobErrorRate, "job.error_rate", EachRule, Percent, "failed of the jobs that ended in the window"),
        (JobThrottleRate, "job.throttle_rate", EachRule, Percent, "throttled of the jobs that ended in the window"),
        (DeliveryFailed, "delivery.failed", Service, Count, "dead deliveries of the last two days"),
        (ReconcileRepaired, "reconcile.repaired", Service, Count, "repairs by reconcile in the window"),
        (DiskFree, "disk.free", Service, Bytes, "free on the store's disk"),
    ]
};

impl Metric {
    pub fn as_str(self) -> &'static str {
        self.line().1
    }

    pub fn scope(self) -> Scope {
        self.line().2
    }

    pub fn unit(self) -> Unit {
        self.line().3
    }

    /// What its number is.
    pub fn meaning(self) -> &'static str {
        self.line().4
    }

    /// Does it look back over a window?
    pub fn has_window(self) -> bool {
        matches!(self, Metric::JobErrorRate | Metric::JobThrottleRate | Metric::ReconcileRepaired)
    }

    fn line(self) -> &'static Line {
        METRICS.iter().find(|line| line.0 == self).expect("every metric has its line")
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        let known = || METRICS.iter().map(|line| line.1).collect::<Vec<_>>().join(", ");
        let found = METRICS.iter().find(|line| line.1 == text).map(|line| line.0);
        found.ok_or_else(|| format!("there is no metric {text:?}; known are {}", known()))
    }
}

/// Beyond which values it is bad.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    Above(f64),
    AtLeast(f64),
    Below(f64),
    AtMost(f64),
}

impl Bound {
    pub fn is_crossed(self, value: f64) -> bool {
        match self {
            Bound::Above(limit) => value > limit,
            Bound::AtLeast(limit) => value >= limit,
            Bound::Below(limit) => value < limit,
            Bound::AtMost(limit) => value <= limit,
        }
    }

    /// As the config says it.
    pub fn word(self) -> &'static str {
        match self {
            Bound::Above(_) => "above",
            Bound::AtLeast(_) => "at_least",
            Bound::Below(_) => "below",
            Bound::AtMost(_) => "at_most",
        }
    }

    pub fn limit(self) -> f64 {
        match self {
            Bound::Above(limit) | Bound::AtLeast(limit) | Bound::Below(limit) | Bound::AtMost(limit) => limit,
        }
    }
}

/// One `[[alarms]]` entry of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct AlarmRule {
    pub id: Name,
    pub metric: Metric,
    pub bound: Bound,
    /// Only of this queue or rule.
    pub queue: Option<QueueName>,
    pub rule: Option<RuleId>,
    /// How long it must be bad before it is told.
    pub lasts: Duration,
    /// For rates: over the jobs that ended in so long.
    pub window: Duration,
    pub notify: Vec<Receiver>,
    /// Told again after so long, while it lasts.
    pub repeat: Option<Duration>,
    /// Is the end told, too?
    pub resolve: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmStatus {
    #[default]
    Ok,
    /// Bad, but not for long enough.
    Pending,
    Raised,
}

impl AlarmStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            AlarmStatus::Ok => "ok",
            AlarmStatus::Pending => "pending",
            AlarmStatus::Raised => "raised",
        }
    }
}

/// As stored, one for each alarm and what it is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmState {
    /// `alarm` or `alarm/of`.
    pub id: String,
    pub alarm: Name,
    pub of: Option<String>,
    pub status: AlarmStatus,
    /// In this status.
    pub since: Timestamp,
    /// When it was last told that it is raised.
    #[serde(default)]
    pub told_at: Option<Timestamp>,
    /// At the last change, as are these.
    pub value: f64,
    #[serde(default)]
    pub metric: Option<String>,
    #[serde(default)]
    pub bound: Option<String>,
    #[serde(default)]
    pub limit: f64,
}

/// As stored: the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlarmChange {
    pub id: AlarmChangeId,
    pub alarm: Name,
    pub of: Option<String>,
    pub at: Timestamp,
    pub from: AlarmStatus,
    pub to: AlarmStatus,
    #[serde(default)]
    pub metric: Option<String>,
    /// `None`: nobody watches it any more, so that nobody knows.
    pub value: Option<f64>,
    pub limit: f64,
}

impl AlarmChange {
    /// Is it over only because nobody watches it any more?
    pub fn is_unwatched(&self) -> bool {
        self.value.is_none()
    }
}

/// What follows from a look at a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    pub state: AlarmState,
    /// In the history; only raised and resolved ones are.
    pub change: Option<AlarmChange>,
    pub notice: Option<Notice>,
}

impl AlarmState {
    pub fn new(alarm: &Name, of: Option<&str>, now: Timestamp) -> Self {
        let id = of.map_or_else(|| alarm.to_string(), |of| format!("{alarm}/{of}"));
        let (alarm, of) = (alarm.clone(), of.map(str::to_owned));
        let status = AlarmStatus::Ok;
        AlarmState {
            id,
            alarm,
            of,
            status,
            since: now,
            told_at: None,
            value: 0.0,
            metric: None,
            bound: None,
            limit: 0.0,
        }
    }

    /// `None`: nothing changes.
    pub fn judge(&self, rule: &AlarmRule, value: f64, now: Timestamp) -> Option<Judgement> {
        let is_bad = rule.bound.is_crossed(value);
        let lasted = |since: Timestamp| now.since(since) >= rule.lasts;
        let next = match self.status {
            AlarmStatus::Ok if is_bad && rule.lasts.is_zero() => AlarmStatus::Raised,
            AlarmStatus::Ok if is_bad => AlarmStatus::Pending,
            AlarmStatus::Pending if is_bad && lasted(self.since) => AlarmStatus::Raised,
            AlarmStatus::Pending | AlarmStatus::Raised if !is_bad => AlarmStatus::Ok,
            AlarmStatus::Raised if self.is_to_repeat(rule, now) => {
                let state = AlarmState { told_at: Some(now), ..self.seen(rule, value) };
                let notice = Some(state.notice(NoticeKind::AlarmRaised, Some(value), self.since, now));
                return Some(Judgement { state, change: None, notice });
            }
            _ => return None,
        };
        let state = AlarmState { status: next, since: now, ..self.seen(rule, value) };
        Some(self.followed_by(state, Some(value), rule.resolve, now))
    }

    fn seen(&self, rule: &AlarmRule, value: f64) -> AlarmState {
        let (metric, bound) = (Some(rule.metric.as_str().to_owned()), Some(rule.bound.word().to_owned()));
        AlarmState { value, metric, bound, limit: rule.bound.limit(), ..self.clone() }
    }

    /// It is over without anybody knowing how: the alarm, or what it is of, is watched no more.
    pub fn unwatched(&self, resolve: bool, now: Timestamp) -> Judgement {
        self.followed_by(AlarmState { status: AlarmStatus::Ok, since: now, ..self.clone() }, None, resolve, now)
    }

    fn is_to_repeat(&self, rule: &AlarmRule, now: Timestamp) -> bool {
        let due = |every| self.told_at.is_none_or(|told| now.since(told) >= every);
        rule.repeat.is_some_and(due)
    }

    /// Without a value nobody watches it.
    fn followed_by(&self, mut state: AlarmState, value: Option<f64>, resolve: bool, now: Timestamp) -> Judgement {
        let kind = match (self.status, state.status) {
            (_, AlarmStatus::Raised) => Some(NoticeKind::AlarmRaised),
            (AlarmStatus::Raised, _) => Some(NoticeKind::AlarmResolved),
            _ => None,
        };
        state.told_at = (state.status == AlarmStatus::Raised).then_some(now);
        let change = kind.map(|_| AlarmChange {
            id: AlarmChangeId::of(&self.id, state.status.as_str(), now),
            alarm: self.alarm.clone(),
            of: self.of.clone(),
            at: now,
            from: self.status,
            to: state.status,
            metric: state.metric.clone(),
            value,
            limit: state.limit,
        });
        let told = kind.filter(|kind| *kind == NoticeKind::AlarmRaised || resolve);
        let raised_at = if self.status == AlarmStatus::Raised { self.since } else { now };
        let notice = told.map(|kind| state.notice(kind, value, raised_at, now));
        Judgement { state, change, notice }
    }

    fn notice(&self, kind: NoticeKind, value: Option<f64>, raised_at: Timestamp, now: Timestamp) -> Notice {
        let metric = self.metric.as_deref().and_then(|name| Metric::parse(name).ok());
        let of_rule = metric.is_some_and(|metric| metric.scope() == Scope::EachRule);
        Notice {
            id: NoticeId::of(&self.id, kind.as_str(), kind as u8, now),
            kind,
            at: now,
            about: self.id.clone(),
            job: None,
            upload: None,
            rule: self.of.as_deref().filter(|_| of_rule).and_then(|of| Name::parse(of).ok()),
            of: None,
            data: json!({
                "alarm": self.alarm,
                "metric": self.metric,
                "of": self.of,
                "value": value,
                "unwatched": value.is_none(),
                "bound": self.bound,
                "limit": self.limit,
                "since": self.since,
                "raised_at": raised_at,
            }),
        }
    }
}

impl Recorded for AlarmState {
    const KIND: RecordKind = RecordKind::Alarm;

    fn id(&self) -> &str {
        &self.id
    }

    fn fields(&self) -> RecordFields {
        [("status".to_owned(), self.status.as_str().to_owned())].into()
    }
}

impl Recorded for AlarmChange {
    const KIND: RecordKind = RecordKind::AlarmChange;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        [("alarm".to_owned(), self.alarm.to_string())].into()
    }
}

/// Jobs of a rule that ended in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedJobs {
    pub completed: u64,
    pub failed: u64,
    /// Of both, those that had to wait for a service that asked for time.
    pub throttled: u64,
}

impl EndedJobs {
    /// 100 if all failed, 0 if none ended.
    pub fn error_percent(self) -> f64 {
        percent(self.failed, self.completed + self.failed)
    }

    pub fn throttle_percent(self) -> f64 {
        percent(self.throttled, self.completed + self.failed)
    }
}

fn percent(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 * 100.0 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000).plus(Duration::from_secs(secs))
    }

    fn rule(lasts: u64, repeat: Option<u64>) -> AlarmRule {
        AlarmRule {
            id: Name::parse("dead").expect("a name"),
            metric: Metric::DeadDepth,
            bound: Bound::Above(0.0),
            queue: None,
            rule: None,
            lasts: Duration::from_secs(lasts),
            window: Duration::from_secs(300),
            notify: Vec::new(),
            repeat: repeat.map(Duration::from_secs),
            resolve: true,
        }
    }

    /// What is told, by the second, while the values come every ten seconds.
    fn told(rule: &AlarmRule, values: &[f64]) -> Vec<(u64, NoticeKind)> {
        let mut state = AlarmState::new(&rule.id, Some("default"), at(0));
        let mut told = Vec::new();
        for (second, value) in (0..).step_by(10).zip(values) {
            if let Some(judgement) = state.judge(rule, *value, at(second)) {
                state = judgement.state;
                told.extend(judgement.notice.map(|notice| (second, notice.kind)));
            }
        }
        told
    }

    #[test]
    fn it_is_raised_once_when_it_lasts_and_resolved_once_when_it_is_over() {
        use NoticeKind::{AlarmRaised, AlarmResolved};
        let bad_for = |n: usize| [vec![1.0; n], vec![0.0; 3]].concat();
        assert_eq!(told(&rule(60, None), &bad_for(6)), []);
        assert_eq!(told(&rule(60, None), &bad_for(9)), [(60, AlarmRaised), (90, AlarmResolved)]);
        assert_eq!(told(&rule(0, None), &bad_for(1)), [(0, AlarmRaised), (10, AlarmResolved)]);
        let flutters: Vec<f64> = (0..60).map(|n| f64::from(n % 5 != 0)).collect();
        assert_eq!(told(&rule(60, None), &flutters), [], "a minute must be a whole one");
    }

    #[test]
    fn it_is_told_again_while_it_lasts_if_it_says_so_and_its_end_only_if_it_says_so() {
        let always = [1.0; 20];
        let times: Vec<u64> = told(&rule(0, Some(60)), &always).into_iter().map(|(second, _)| second).collect();
        assert_eq!(times, [0, 60, 120, 180]);
        let silent = AlarmRule { resolve: false, ..rule(0, None) };
        assert_eq!(told(&silent, &[1.0, 0.0]).len(), 1);
    }

    #[test]
    fn its_end_says_since_when_it_was_raised() {
        let rule = rule(60, Some(60));
        let mut state = AlarmState::new(&rule.id, None, at(0));
        let mut told = Vec::new();
        for (second, value) in [(0, 1.0), (60, 2.0), (120, 3.0), (180, 0.0)] {
            let judgement = state.judge(&rule, value, at(second)).expect("something changes");
            state = judgement.state;
            let notice = judgement.notice.map(|notice| notice.data);
            told.extend(notice.map(|data| ["value", "since", "raised_at"].map(|field| data[field].clone())));
        }
        let line = |value: f64, since, raised_at| [json!(value), json!(at(since)), json!(at(raised_at))];
        assert_eq!(told, [line(2.0, 60, 60), line(3.0, 60, 60), line(0.0, 180, 60)]);
    }

    #[test]
    fn what_nobody_watches_any_more_is_over() {
        let raised = AlarmState::new(&rule(0, None).id, Some("gone"), at(0));
        let raised = raised.judge(&rule(0, None), 3.0, at(10)).expect("raised").state;
        let Judgement { state, change, notice } = raised.unwatched(true, at(20));
        assert_eq!((state.status, state.since, state.told_at), (AlarmStatus::Ok, at(20), None));
        let notice = notice.expect("it is told");
        assert_eq!((notice.kind, &notice.data["metric"]), (NoticeKind::AlarmResolved, &json!("dead.depth")));
        assert_eq!((&notice.data["bound"], &notice.data["limit"]), (&json!("above"), &json!(0.0)));
        let change = change.expect("history");
        assert_eq!((change.to, change.is_unwatched()), (AlarmStatus::Ok, true));
        let told = ["value", "unwatched", "since", "raised_at"].map(|field| notice.data[field].clone());
        assert_eq!(
            told,
            [Value::Null, json!(true), json!(at(20)), json!(at(10))],
            "the last figure is not the present one"
        );
        assert_eq!(raised.unwatched(false, at(20)).notice, None);
    }

    #[test]
    fn figures_are_shown_in_their_unit() {
        let shown = |unit: Unit, values: &[f64]| values.iter().map(|value| unit.shown(*value)).collect::<Vec<_>>();
        assert_eq!(shown(Unit::Count, &[0.0, 300.0, 2.5]), ["0", "300", "2.5"]);
        assert_eq!(shown(Unit::Percent, &[100.0, 12.5, 33.333_333]), ["100%", "12.5%", "33.33%"]);
        assert_eq!(shown(Unit::Bytes, &[34_958_630_912.0, (1u64 << 40) as f64, 12.0]), ["32.6 GiB", "1.0 TiB", "12 B"]);
        let times = shown(Unit::Seconds, &[0.0, 0.5, 59.0, 300.0, 312.4, 7500.0, 7200.0, 180_000.0]);
        assert_eq!(times, ["0s", "0.5s", "59s", "5m", "5m 12s", "2h 5m", "2h", "2d 2h"]);
    }

    #[test]
    fn a_rate_is_right_when_nothing_succeeds_and_when_nothing_ends() {
        let rate = |completed, failed| EndedJobs { completed, failed, throttled: 0 }.error_percent();
        assert_eq!((rate(0, 7), rate(0, 0), rate(19, 1), rate(3, 0)), (100.0, 0.0, 5.0, 0.0));
        assert!(Bound::AtLeast(5.0).is_crossed(rate(19, 1)) && !Bound::Above(5.0).is_crossed(rate(19, 1)));
    }
}
