//! `[[alarms]]`: from the file's words to what is looked at and who is told.

use super::file::{Alarm, ConfigFile, Number};
use super::notify::email_to;
use filemill_core::alarm::{AlarmRule, Bound, Metric, Scope, Unit};
use filemill_core::duration::{format_duration, parse_duration};
use filemill_core::limits;
use filemill_core::notice::Receiver;
use filemill_core::notify::NotifyRules;
use filemill_core::rule::QueueName;
use filemill_core::size::ByteSize;
use std::collections::BTreeSet;
use std::time::Duration;

/// Rates are over five minutes unless an alarm says otherwise.
const WINDOW: Duration = Duration::from_secs(300);

pub fn read(file: &ConfigFile, told: &NotifyRules) -> Result<Vec<AlarmRule>, String> {
    if file.alarms.len() > limits::ALARMS_MAX {
        return Err(format!("{} alarms are too many; use up to {}", file.alarms.len(), limits::ALARMS_MAX));
    }
    let mut seen = BTreeSet::new();
    let one = |alarm: &Alarm| {
        if !seen.insert(alarm.id.clone()) {
            return Err(format!("alarm {:?} is given twice", alarm.id.as_str()));
        }
        rule_of(alarm, file, told).map_err(|e| format!("alarm {:?}: {e}", alarm.id.as_str()))
    };
    let rules = file.alarms.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    check_named(told, &rules)?;
    Ok(rules)
}

/// A receiver that is on nothing waits for alarms that name it.
fn check_named(told: &NotifyRules, alarms: &[AlarmRule]) -> Result<(), String> {
    let is_named = |receiver: &Receiver| alarms.iter().any(|alarm| alarm.notify.contains(receiver));
    match told.all().iter().find(|rule| rule.on.is_empty() && !is_named(&rule.receiver)) {
        Some(rule) => Err(format!(
            "[[notify]]: {} would be told nothing; give it an `on`, or name it in an alarm's `notify`",
            rule.receiver.lane()
        )),
        None => Ok(()),
    }
}

fn rule_of(alarm: &Alarm, file: &ConfigFile, told: &NotifyRules) -> Result<AlarmRule, String> {
    let metric = Metric::parse(&alarm.metric)?;
    if alarm.queue.is_some() && metric.scope() != Scope::EachQueue {
        return Err(format!("{} is of no queue; leave `queue` out", alarm.metric));
    }
    if alarm.rule.is_some() && metric.scope() != Scope::EachRule {
        return Err(format!("{} is of no rule; leave `rule` out", alarm.metric));
    }
    if let Some(rule) = alarm.rule.as_ref().filter(|id| !file.rules.iter().any(|rule| rule.id == **id)) {
        return Err(format!("there is no rule {:?}", rule.as_str()));
    }
    if let Some(queue) = alarm.queue.as_ref().filter(|queue| !is_queue(file, queue)) {
        return Err(format!("there is no queue {:?}: neither a [queues.NAME] nor a rule's `queue`", queue.as_str()));
    }
    if alarm.window.is_some() && !metric.has_window() {
        return Err(format!("{} is measured as it is now; leave `window` out", alarm.metric));
    }
    let window = alarm.window.unwrap_or(WINDOW);
    if window.is_zero() || window > limits::ALARM_WINDOW_MAX {
        return Err("window: use \"1s\" to \"1h\"".to_owned());
    }
    if alarm.repeat.is_some_and(|every| every.is_zero()) {
        return Err("repeat: use \"1s\" or more, or leave it out and it is told once".to_owned());
    }
    let counts_jobs = metric.scope() == Scope::EachRule;
    if let Some(kept) = super::times::retention(&file.retention).jobs.filter(|kept| counts_jobs && *kept < window) {
        let (window, kept) = (format_duration(window), format_duration(kept));
        return Err(format!("window is {window}, but ended jobs are kept for {kept} (retention.jobs)"));
    }
    let receivers = alarm.notify.iter().map(|text| receiver(text, file, told));
    let notify = receivers.collect::<Result<Vec<_>, _>>()?;
    Ok(AlarmRule {
        id: alarm.id.clone(),
        metric,
        bound: bound(alarm, metric)?,
        queue: alarm.queue.clone(),
        rule: alarm.rule.clone(),
        lasts: alarm.lasts.unwrap_or_default(),
        window,
        notify,
        repeat: alarm.repeat,
        resolve: alarm.resolve,
    })
}

fn is_queue(file: &ConfigFile, queue: &QueueName) -> bool {
    file.queues.contains_key(queue) || file.rules.iter().any(|rule| rule.queue == *queue)
}

fn bound(alarm: &Alarm, metric: Metric) -> Result<Bound, String> {
    let value = |number: &Number| value(number, metric);
    let given = [
        alarm.above.as_ref().map(|n| value(n).map(Bound::Above)),
        alarm.at_least.as_ref().map(|n| value(n).map(Bound::AtLeast)),
        alarm.below.as_ref().map(|n| value(n).map(Bound::Below)),
        alarm.at_most.as_ref().map(|n| value(n).map(Bound::AtMost)),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(bound), None) => bound.and_then(|bound| check_reach(bound, metric)),
        _ => Err("give one of `above`, `at_least`, `below`, `at_most`".to_owned()),
    }
}

/// No figure is below nothing, and no share above all.
fn check_reach(bound: Bound, metric: Metric) -> Result<Bound, String> {
    let is_beyond = match bound {
        Bound::Above(limit) => metric.unit() == Unit::Percent && limit >= 100.0,
        Bound::Below(limit) => limit <= 0.0,
        Bound::AtLeast(_) | Bound::AtMost(_) => false,
    };
    if is_beyond {
        let (metric, limit) = (metric.as_str(), metric.unit().shown(bound.limit()));
        return Err(format!("{metric} is never {} {limit}", bound.word()));
    }
    Ok(bound)
}

/// A number in the metric's unit: `5`, `"5%"`, `"5m"` or `"1GiB"`.
fn value(number: &Number, metric: Metric) -> Result<f64, String> {
    let read = match number {
        Number::Plain(number) if !number.is_finite() => return Err("a limit is a finite number".to_owned()),
        Number::Plain(number) => Some(*number),
        Number::Text(text) => in_unit(text.trim(), metric.unit()),
    };
    let is_possible = |value: &f64| *value >= 0.0 && (metric.unit() != Unit::Percent || *value <= 100.0);
    read.filter(is_possible).ok_or_else(|| {
        let like = match metric.unit() {
            Unit::Count => "a count, such as 5",
            Unit::Seconds => "a time, such as \"5m\" or 300",
            Unit::Percent => "a percentage, such as \"5%\" or 5",
            Unit::Bytes => "a size, such as \"1GiB\"",
        };
        format!("{number} is no limit of {}, which is {like}", metric.as_str())
    })
}

fn in_unit(text: &str, unit: Unit) -> Option<f64> {
    let plain = || text.parse().ok().filter(|number: &f64| number.is_finite());
    match unit {
        Unit::Count => plain(),
        Unit::Seconds => parse_duration(text).ok().map(|duration| duration.as_secs_f64()).or_else(plain),
        Unit::Percent => text.strip_suffix('%').map_or_else(plain, |number| number.trim().parse().ok()),
        Unit::Bytes => ByteSize::parse(text).ok().map(|size| size.0 as f64),
    }
}

/// `email:ADDRESS`, `webhook:NAME` or `queue:NAME`.
fn receiver(text: &str, file: &ConfigFile, told: &NotifyRules) -> Result<Receiver, String> {
    if let Some(to) = text.strip_prefix("email:") {
        let found = email_to(std::iter::once(to), file).map_err(|e| format!("notify: {e}"))?;
        return found.into_iter().next().ok_or_else(|| "notify: no address".to_owned());
    }
    let known = told.all().iter().map(|rule| &rule.receiver);
    let named = known.filter(|receiver| receiver.kind() != "email").find(|receiver| receiver.lane() == text);
    named.cloned().ok_or_else(|| {
        format!("notify: {text:?} is neither \"email:ADDRESS\" nor \"webhook:ID\" or \"queue:NAME\" of a [[notify]]")
    })
}
