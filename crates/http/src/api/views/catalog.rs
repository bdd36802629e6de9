//! Rules and processors as clients see them.

use filemill_core::access::TenantName;
use filemill_core::ports::{OptionSpec, ProcessorSpec};
use filemill_core::retry::RetryPolicy;
use filemill_core::rule::{Rule, RuleId};
use filemill_engine::{Engine, Explained};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A rule as configured.
#[derive(Serialize, ToSchema)]
#[schema(as = Rule)]
pub struct RuleView {
    #[schema(value_type = String, example = "hello-lines")]
    pub id: RuleId,
    /// Whose it is: the bucket `from` says.
    #[schema(value_type = String, example = "default")]
    pub tenant: TenantName,
    #[schema(example = "uploads")]
    pub from: String,
    /// A message queue whose messages become objects in `from`.
    #[schema(example = "orders")]
    pub from_queue: Option<String>,
    /// Which objects of `from` start it.
    #[serde(rename = "match")]
    #[schema(value_type = Object)]
    pub pattern: Value,
    /// The processor's `kind` and its options.
    #[schema(value_type = Object, example = json!({"kind": "lines.prefix", "text": "Hello! "}))]
    pub process: Value,
    #[schema(value_type = Object, example = json!({"bucket": "results", "key": "{key}"}))]
    pub output: Value,
    #[schema(example = "default")]
    pub queue: String,
    #[schema(value_type = Object, example = json!({"attempts": 5, "backoff": "1s..1m"}))]
    pub retry: Value,
    pub max_generation: u32,
    /// How many bad records a job may set aside and still complete.
    #[schema(value_type = Object, example = json!({"count": 100, "percent": 1.0}))]
    pub rejects: Value,
    /// Buckets that its jobs may read besides their input; null: `from` and the default bucket, and all for an order by this
    /// API.
    #[schema(example = json!(["uploads"]))]
    pub sources: Option<Vec<String>>,
    pub delete_source: bool,
    pub enabled: bool,
}

/// What a rule would do with an object.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub struct ExplanationView {
    #[schema(example = "hello-lines")]
    pub rule: String,
    pub starts: bool,
    /// Why it does not start.
    pub reason: Option<String>,
    pub processor: String,
    /// Where the result would go.
    #[schema(value_type = Option<Object>, example = json!({"bucket": "results", "key": "a.txt"}))]
    pub output: Option<Value>,
}

impl From<Explained> for ExplanationView {
    fn from(e: Explained) -> Self {
        ExplanationView {
            rule: e.rule.id.to_string(),
            starts: e.refusal.is_none(),
            reason: e.refusal,
            processor: e.rule.process.kind.clone(),
            output: e.target.as_ref().map(json),
        }
    }
}

impl RuleView {
    /// `retry` is the rule's own or its queue's.
    pub fn of(rule: &Rule, retry: &RetryPolicy, engine: &Engine) -> Self {
        RuleView {
            id: rule.id.clone(),
            tenant: engine.tenant_of(&rule.from),
            from: rule.from.to_string(),
            from_queue: rule.from_queue.as_ref().map(ToString::to_string),
            pattern: json(&rule.pattern),
            process: json(&rule.process),
            output: json(&rule.output),
            queue: rule.queue.to_string(),
            retry: json(retry),
            max_generation: rule.max_generation,
            rejects: json(&rule.rejects),
            sources: rule.sources.as_ref().map(|all| all.iter().map(|bucket| bucket.to_string()).collect()),
            delete_source: rule.delete_source,
            enabled: rule.enabled,
        }
    }
}

fn json(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("a rule was read from text and writes back to it")
}

/// What can be done to a file.
#[derive(Serialize, ToSchema)]
#[schema(as = Processor)]
pub struct ProcessorView {
    #[schema(example = "lines.prefix")]
    pub kind: String,
    pub summary: String,
    pub options: Vec<OptionView>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ProcessorOption)]
pub struct OptionView {
    pub name: &'static str,
    /// A JSON type.
    pub kind: &'static str,
    pub required: bool,
    pub summary: &'static str,
    /// JSON.
    pub example: &'static str,
    /// JSON; `null` if nothing holds where the option is not given.
    pub default: Option<&'static str>,
    /// JSON; empty if the option may have any value of its kind.
    pub choices: &'static [&'static str],
}

impl From<&ProcessorSpec> for ProcessorView {
    fn from(spec: &ProcessorSpec) -> Self {
        let option = |o: &OptionSpec| OptionView {
            name: o.name,
            kind: o.kind,
            required: o.required,
            summary: o.summary,
            example: o.example,
            default: (!o.default.is_empty()).then_some(o.default),
            choices: o.choices,
        };
        let (kind, summary) = (spec.kind.to_string(), spec.summary.to_string());
        ProcessorView { kind, summary, options: spec.options.iter().map(option).collect() }
    }
}
