//! What message queues hold, as text for Prometheus.
//!
//! Not in the recorder, which never forgets a label: programs make and remove queues, and of a removed one nothing stays.

use filemill_core::message::{MessageCounts, MessageQueueName};
use filemill_core::time::Timestamp;
use std::fmt::Write;

const MESSAGES: &str = "filemill_message_queue_messages";
const AGE: &str = "filemill_message_queue_oldest_age_seconds";

/// Names of queues need no escaping.
pub(crate) fn text(held: &[(MessageQueueName, MessageCounts)], now: Timestamp) -> String {
    let mut text = head(MESSAGES, "messages by queue and state");
    for (queue, counts) in held {
        for (state, count) in
            [("visible", counts.visible), ("in_flight", counts.in_flight), ("delayed", counts.delayed)]
        {
            line(&mut text, MESSAGES, &format!("queue=\"{queue}\",state=\"{state}\""), count as f64);
        }
    }
    text += &head(AGE, "how long ago the oldest message of a queue came into it");
    for (queue, counts) in held {
        let age = counts.oldest_at.map_or(0.0, |at| now.since(at).as_secs_f64());
        line(&mut text, AGE, &format!("queue=\"{queue}\""), age);
    }
    text
}

fn head(name: &str, help: &str) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} gauge\n")
}

fn line(text: &mut String, name: &str, labels: &str, value: f64) {
    let _never_fails = writeln!(text, "{name}{{{labels}}} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_queue_has_its_lines_in_the_text_format() {
        let name = MessageQueueName::parse("a-b").expect("a name");
        let oldest_at = Some(Timestamp::from_millis(1_000));
        let counts = MessageCounts { visible: 2, in_flight: 1, delayed: 0, oldest_at };
        let told = text(&[(name, counts)], Timestamp::from_millis(3_500));
        let lines: Vec<&str> = told.lines().filter(|line| !line.starts_with("# HELP")).collect();
        let expected = [
            "# TYPE filemill_message_queue_messages gauge",
            "filemill_message_queue_messages{queue=\"a-b\",state=\"visible\"} 2",
            "filemill_message_queue_messages{queue=\"a-b\",state=\"in_flight\"} 1",
            "filemill_message_queue_messages{queue=\"a-b\",state=\"delayed\"} 0",
            "# TYPE filemill_message_queue_oldest_age_seconds gauge",
            "filemill_message_queue_oldest_age_seconds{queue=\"a-b\"} 2.5",
        ];
        assert_eq!(lines, expected);
    }
}
