//! A notice in plain words, for people. A digest lists several.
//!
//! Keys of objects and failures come from uploaders: control characters are taken out, so that nothing begins a line or a
//! header of its own.

use filemill_core::alarm::Metric;
use filemill_core::notice::{Notice, NoticeKind};
use serde_json::Value;

/// Of a subject; the text has all.
const SUBJECT_CHARS_MAX: usize = 150;

pub struct Letter {
    pub subject: String,
    pub text: String,
}

impl Letter {
    pub fn of(notices: &[Notice]) -> Letter {
        match notices {
            [one] => Letter { subject: short(&headline(one)), text: paragraph(one) },
            many => {
                let subject = format!("{} notices: {}", many.len(), kinds(many));
                let text: Vec<String> = many.iter().map(paragraph).collect();
                Letter { subject: short(&subject), text: text.join("\n") }
            }
        }
    }
}

/// How many of each, in the order of their first.
fn kinds(notices: &[Notice]) -> String {
    let mut counts: Vec<(NoticeKind, usize)> = Vec::new();
    for notice in notices {
        match counts.iter_mut().find(|(kind, _)| *kind == notice.kind) {
            Some((_, count)) => *count += 1,
            None => counts.push((notice.kind, 1)),
        }
    }
    counts.iter().map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

fn headline(notice: &Notice) -> String {
    let file = format!("{}/{}", word(&notice.data["bucket"]), word(&notice.data["key"]));
    match notice.kind {
        NoticeKind::JobCompleted => format!("Done: {file}"),
        NoticeKind::JobFailed => format!("Failed: {file}"),
        NoticeKind::JobRejects => format!("Records set aside: {file}"),
        NoticeKind::ArchiveReady => format!("Archive ready: {}", word(&notice.data["output"]["key"])),
        NoticeKind::DeadLetterCreated => format!("Gave up: {file}"),
        NoticeKind::AlarmRaised => format!("Alarm {} raised", line(&notice.about)),
        NoticeKind::AlarmResolved if notice.data["unwatched"] == true => {
            format!("Alarm {} resolved: it is no longer watched", line(&notice.about))
        }
        NoticeKind::AlarmResolved => format!("Alarm {} resolved", line(&notice.about)),
    }
}

fn paragraph(notice: &Notice) -> String {
    let mut lines = vec![headline(notice), String::new()];
    let mut tell = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:<10} {value}"));
        }
    };
    let data = &notice.data;
    tell("When", notice.at.to_string());
    tell("Rule", notice.rule.as_ref().map(ToString::to_string).unwrap_or_default());
    tell("Job", notice.job.as_ref().map(ToString::to_string).unwrap_or_default());
    tell("Reason", [word(&data["failure"]["message"]), word(&data["failure"]["detail"])].join(" ").trim().to_owned());
    if data["rejects"].as_u64().unwrap_or(0) > 0 {
        tell("Rejects", word(&data["rejects"]));
    }
    if data["output"].is_object() {
        tell("Result", format!("{}/{}", word(&data["output"]["bucket"]), word(&data["output"]["key"])));
    }
    tell("Link", word(&data["link"]["url"]));
    for (name, field) in [("Queue", "queue"), ("Attempts", "attempts"), ("Metric", "metric")] {
        tell(name, word(&data[field]));
    }
    if notice.rule.is_none() {
        tell("Of", word(&data["of"]));
    }
    tell("Value", figure(data, "value"));
    tell("Limit", limit(data));
    match notice.kind {
        // since when it is over is when it was told
        NoticeKind::AlarmResolved => tell("Raised", word(&data["raised_at"])),
        _ => tell("Since", word(&data["since"])),
    }
    let letter = word(&data["dead_letter"]);
    tell("Letter", letter.clone());
    if !letter.is_empty() {
        tell("To do", format!("filemill dead {letter} shows each attempt, filemill redrive {letter} tries again"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn metric(alarm: &Value) -> Option<Metric> {
    alarm["metric"].as_str().and_then(|name| Metric::parse(name).ok())
}

/// In its metric's unit.
fn figure(alarm: &Value, field: &str) -> String {
    let value = &alarm[field];
    let shown = metric(alarm).zip(value.as_f64()).map(|(metric, value)| metric.unit().shown(value));
    shown.unwrap_or_else(|| word(value))
}

/// On which side of it is bad, and what its number is: `above 5% (failed of the jobs that ended in the window)`.
fn limit(alarm: &Value) -> String {
    let meaning = metric(alarm).map(|metric| format!(" ({})", metric.meaning())).unwrap_or_default();
    match figure(alarm, "limit").as_str() {
        "" => String::new(),
        limit => format!("{} {limit}{meaning}", word(&alarm["bound"]).replace('_', " ")),
    }
}

fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => line(text),
        other => other.to_string(),
    }
}

/// On one line, without anything that a header or a terminal would obey.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

fn short(subject: &str) -> String {
    line(subject).chars().take(SUBJECT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::ids::NoticeId;
    use filemill_core::time::Timestamp;
    use serde_json::json;

    fn failed(key: &str, message: &str) -> Notice {
        let at = Timestamp::from_millis(1_700_000_000_000);
        let data =
            json!({ "bucket": "uploads", "key": key, "rejects": 0, "failure": { "message": message, "detail": null } });
        let id = NoticeId::of(key, "job.failed", 0, at);
        Notice {
            id,
            kind: NoticeKind::JobFailed,
            at,
            about: "j".into(),
            job: None,
            upload: None,
            rule: None,
            of: None,
            data,
        }
    }

    #[test]
    fn a_failure_is_told_in_plain_words() {
        let letter = Letter::of(&[failed("a.csv", "row 3 has 2 columns")]);
        assert_eq!(letter.subject, "Failed: uploads/a.csv");
        assert!(letter.text.contains("Reason     row 3 has 2 columns"), "{}", letter.text);
    }

    #[test]
    fn no_key_and_no_message_begins_a_line_of_its_own() {
        let letter = Letter::of(&[failed("a\r\nBcc: all@example.org", "x\r\n\r\nClick here\u{2028}now")]);
        assert_eq!(letter.subject, "Failed: uploads/a  Bcc: all@example.org");
        assert!(!letter.text.contains("\nBcc") && !letter.text.contains("\nClick") && !letter.text.contains('\r'));
    }

    #[test]
    fn an_alarm_says_on_which_side_of_its_limit_it_is_and_of_what() {
        let data = json!({ "alarm": "errors", "metric": "job.error_rate", "of": "hello", "value": 12.5, "bound": "at_least",
            "limit": 5.0, "since": "now" });
        let letter = Letter::of(&[Notice { kind: NoticeKind::AlarmRaised, data, ..failed("", "") }]);
        let said = "Value      12.5%\nLimit      at least 5% (failed of the jobs that ended in the window)\n";
        assert!(letter.text.contains(said) && letter.text.contains("Of         hello"), "{}", letter.text);
    }

    #[test]
    fn the_end_of_an_alarm_says_how_long_it_was_raised_and_whether_anybody_still_watches() {
        let letter = |value: Value| {
            let data = json!({ "alarm": "dead", "metric": "dead.depth", "value": value, "unwatched": value.is_null(),
                "bound": "above", "limit": 0.0, "since": "noon", "raised_at": "morning" });
            Letter::of(&[Notice { kind: NoticeKind::AlarmResolved, about: "dead".into(), data, ..failed("", "") }])
        };
        let seen = letter(json!(0.0));
        assert_eq!(seen.subject, "Alarm dead resolved");
        assert!(seen.text.contains("Value      0") && seen.text.contains("Raised     morning"), "{}", seen.text);
        let unwatched = letter(Value::Null);
        assert_eq!(unwatched.subject, "Alarm dead resolved: it is no longer watched");
        assert!(!unwatched.text.contains("Value"), "{}", unwatched.text);
    }

    #[test]
    fn a_dead_letter_says_which_it_is_and_what_to_do() {
        let data = json!({ "dead_letter": "dead_1", "queue": "default", "attempts": 3, "bucket": "b", "key": "k",
            "failure": { "message": "no answer" } });
        let letter = Letter::of(&[Notice { kind: NoticeKind::DeadLetterCreated, data, ..failed("", "") }]);
        let said = "Queue      default\nAttempts   3\nLetter     dead_1\nTo do      filemill dead dead_1 shows";
        assert!(letter.text.contains(said), "{}", letter.text);
    }

    #[test]
    fn a_digest_counts_and_lists() {
        let letter = Letter::of(&[failed("a", "x"), failed("b", "y")]);
        assert_eq!(letter.subject, "2 notices: job.failed 2");
        assert!(letter.text.contains("uploads/a") && letter.text.contains("uploads/b"));
    }
}
