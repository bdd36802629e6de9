//! Rules: which objects start which processor, with which options, output, queue and retry.

use crate::key_template::KeyTemplate;
use crate::limits;
use crate::matching::{Pattern, Subject};
use crate::message::MessageQueueName;
use crate::object::{BucketName, Origin};
use crate::reject::RejectTolerance;
use crate::retry::RetryPolicy;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// 1 to 64 of `a-z A-Z 0-9 . _ -`: rule ids and queue names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

pub type RuleId = Name;
pub type QueueName = Name;

impl Name {
    pub fn parse(text: &str) -> Result<Self, String> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Name(text.into()));
        }
        Err(format!("{text:?} is not a name: use 1 to 64 letters, digits, dots, hyphens and underscores"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Name::parse(&text).map_err(D::Error::custom)
    }
}

/// One `[[rules]]` entry of the config.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub id: RuleId,
    /// The bucket whose objects start this rule.
    pub from: BucketName,
    /// A message queue: each of its messages becomes an object in `from`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_queue: Option<MessageQueueName>,
    #[serde(rename = "match", default)]
    pub pattern: Pattern,
    pub process: Process,
    pub output: Output,
    #[serde(default = "default_queue")]
    pub queue: QueueName,
    /// Instead of the queue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    /// Objects written by jobs start this rule only below this depth; 1 means uploads only.
    #[serde(default = "one")]
    pub max_generation: u32,
    /// How many bad records a job may set aside and still complete.
    #[serde(default)]
    pub rejects: RejectTolerance,
    /// Buckets that jobs may read besides their input, for archives. If not given: `from` and the default bucket for a
    /// manifest that lies in a bucket, all for an order by the API.
    #[serde(default)]
    pub sources: Option<Vec<BucketName>>,
    #[serde(default)]
    pub delete_source: bool,
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A processor and its options: `process = { kind = "lines.prefix", text = "Hello! " }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Process {
    pub kind: String,
    #[serde(flatten)]
    pub options: serde_json::Map<String, serde_json::Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub bucket: BucketName,
    #[serde(default = "same_key")]
    pub key: KeyTemplate,
}

fn default_queue() -> QueueName {
    Name("default".into())
}

fn same_key() -> KeyTemplate {
    KeyTemplate::parse("{key}").expect("a placeholder alone is a template")
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

impl Rule {
    /// The process with an upload's own options laid over the rule's.
    pub fn process_with(&self, options: &Map<String, Value>) -> Process {
        let mut process = self.process.clone();
        process.options.extend(options.clone());
        process
    }

    /// Does an object in `bucket` start this rule by itself?
    pub fn takes(&self, bucket: &BucketName, subject: Subject<'_>, origin: Option<&Origin>) -> bool {
        let generation = origin.map_or(0, |o| o.generation);
        self.enabled
            && *bucket == self.from
            && generation < self.max_generation.min(limits::GENERATIONS_MAX)
            && self.pattern.matches(subject)
    }
}

/// The rules of a service, checked as a set.
#[derive(Clone, Debug, Default)]
pub struct RuleSet {
    rules: Vec<Arc<Rule>>,
}

impl RuleSet {
    pub fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let mut seen = std::collections::BTreeSet::new();
        for rule in &rules {
            if !seen.insert(rule.id.clone()) {
                return Err(format!("rule {:?} is given twice", rule.id.as_str()));
            }
            rule.retry
                .as_ref()
                .map_or(Ok(()), RetryPolicy::check)
                .map_err(|e| format!("rule {:?}: {e}", rule.id.as_str()))?;
            rule.rejects.check().map_err(|e| format!("rule {:?}: {e}", rule.id.as_str()))?;
            if rule.max_generation == 0 || rule.max_generation > limits::GENERATIONS_MAX {
                return Err(format!(
                    "rule {:?}: max_generation is {}; use 1 to {}",
                    rule.id.as_str(),
                    rule.max_generation,
                    limits::GENERATIONS_MAX
                ));
            }
        }
        check_message_queues(&rules)?;
        Ok(RuleSet { rules: rules.into_iter().map(Arc::new).collect() })
    }

    pub fn all(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    pub fn get(&self, id: &RuleId) -> Option<&Arc<Rule>> {
        self.rules.iter().find(|r| r.id == *id)
    }

    /// The message queues that start rules, each with the bucket that its messages go to.
    pub fn message_queues(&self) -> BTreeMap<MessageQueueName, BucketName> {
        let enabled = self.rules.iter().filter(|rule| rule.enabled);
        enabled.filter_map(|rule| Some((rule.from_queue.clone()?, rule.from.clone()))).collect()
    }

    pub fn starting_from<'a>(
        &'a self,
        bucket: &'a BucketName,
        subject: Subject<'a>,
        origin: Option<&'a Origin>,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.matching(bucket, subject, origin).take(limits::RULES_PER_OBJECT_MAX)
    }

    /// Rules that match and are not started, because others before them are as many as may be.
    pub fn passed_over<'a>(
        &'a self,
        bucket: &'a BucketName,
        subject: Subject<'a>,
        origin: Option<&'a Origin>,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.matching(bucket, subject, origin).skip(limits::RULES_PER_OBJECT_MAX)
    }

    fn matching<'a>(
        &'a self,
        bucket: &'a BucketName,
        subject: Subject<'a>,
        origin: Option<&'a Origin>,
    ) -> impl Iterator<Item = &'a Arc<Rule>> {
        self.rules.iter().filter(move |r| r.takes(bucket, subject, origin))
    }
}

/// A message becomes one object, so its queue belongs to one bucket.
fn check_message_queues(rules: &[Rule]) -> Result<(), String> {
    let mut buckets = BTreeMap::new();
    for rule in rules {
        let Some(queue) = &rule.from_queue else { continue };
        let bucket = buckets.entry(queue).or_insert(&rule.from);
        if **bucket != rule.from {
            return Err(format!(
                "rule {:?}: messages of {queue} already go to bucket {bucket}; use the same `from`, or another queue",
                rule.id.as_str()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::time::Timestamp;

    fn rule() -> Rule {
        serde_json::from_value(serde_json::json!({
            "id": "hello", "from": "uploads", "match": {"key": [{"prefix": "hello/"}]},
            "process": {"kind": "lines.prefix", "text": "Hello! "}, "output": {"bucket": "results"},
        }))
        .expect("rule")
    }

    fn takes(rule: &Rule, bucket: &str, key: &str, generation: Option<u32>) -> bool {
        let job = JobId::of("b", "k", "1", "r", Timestamp::ZERO);
        let origin = generation.map(|generation| Origin { job, generation, original: None });
        let subject = Subject { key, size: 1, content_type: None };
        rule.takes(&BucketName::parse(bucket).expect(bucket), subject, origin.as_ref())
    }

    #[test]
    fn a_rule_takes_uploads_of_its_bucket_that_match() {
        let rule = rule();
        assert!(takes(&rule, "uploads", "hello/a", None));
        assert!(!takes(&rule, "uploads", "other/a", None));
        assert!(!takes(&rule, "results", "hello/a", None));
    }

    #[test]
    fn what_a_job_wrote_starts_no_rule_unless_told() {
        let mut rule = rule();
        assert!(!takes(&rule, "uploads", "hello/a", Some(1)));
        rule.max_generation = 2;
        assert!(takes(&rule, "uploads", "hello/a", Some(1)));
        assert!(!takes(&rule, "uploads", "hello/a", Some(2)));
    }

    #[test]
    fn options_keep_their_names_and_the_rest_is_strict() {
        assert_eq!(rule().process.options["text"], "Hello! ");
        let mut json = serde_json::to_value(rule()).expect("json");
        json["quue"] = "x".into();
        assert!(serde_json::from_value::<Rule>(json).is_err());
    }

    #[test]
    fn a_message_queue_belongs_to_one_bucket() {
        let from = |id: &str, bucket: &str, queue: &str| {
            let mut json = serde_json::to_value(rule()).expect("json");
            (json["id"], json["from"], json["from_queue"]) = (id.into(), bucket.into(), queue.into());
            serde_json::from_value::<Rule>(json).expect("a rule")
        };
        let rules = RuleSet::new(vec![rule(), from("a", "one", "q"), from("b", "one", "q"), from("c", "two", "r")]);
        let queues = rules.expect("good rules").message_queues();
        let pairs: Vec<_> = queues.iter().map(|(queue, bucket)| (queue.as_str(), bucket.as_str())).collect();
        assert_eq!(pairs, [("q", "one"), ("r", "two")]);
        let error = RuleSet::new(vec![from("a", "one", "q"), from("b", "two", "q")]).expect_err("two buckets");
        assert!(error.contains("messages of q already go to bucket one"), "{error}");
    }

    #[test]
    fn one_object_starts_so_many_rules_and_no_more() {
        let numbered = |nth: usize| {
            let mut json = serde_json::to_value(rule()).expect("json");
            json["id"] = format!("hello-{nth}").into();
            serde_json::from_value::<Rule>(json).expect("a rule")
        };
        let rules = RuleSet::new((0..limits::RULES_PER_OBJECT_MAX + 8).map(numbered).collect()).expect("good rules");
        let subject = Subject { key: "hello/a", size: 1, content_type: None };
        let bucket = BucketName::parse("uploads").expect("a name");
        assert_eq!(rules.starting_from(&bucket, subject, None).count(), limits::RULES_PER_OBJECT_MAX);
        assert_eq!(rules.passed_over(&bucket, subject, None).count(), 8, "and which, is known");
    }

    #[test]
    fn a_rule_id_is_given_once() {
        assert!(RuleSet::new(vec![rule(), rule()]).is_err());
    }
}
