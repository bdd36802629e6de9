//! `filemill rules explain`: options of a rule or a processor, and what would become of an object.

use super::matching;
use crate::config::{Config, Overrides};
use crate::exit::Ending;
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{OptionSpec, ProcessorSpec};
use filemill_core::rule::{Rule, RuleId};
use filemill_core::size::ByteSize;
use filemill_engine::{Explained, explain};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Columns of a line of text.
const WIDTH: usize = 100;
const INDENT: &str = "      ";

#[derive(clap::Args)]
pub struct Args {
    /// A rule's id, a processor's kind, or bucket/key of an object that does not need to exist; none lists the processors
    target: Option<String>,
    /// Config with the rules [default: the built-in starter config]
    #[arg(long, env = "FILEMILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Size of the object
    #[arg(long, default_value = "0", value_parser = ByteSize::parse)]
    size: ByteSize,
    /// Content type of the object
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let config = Config::load(self.config.as_deref(), &Overrides::default())?;
        let registry = &config.processors;
        let Some(target) = &self.target else { return self.list(registry.specs()) };
        let rule = RuleId::parse(target).ok().and_then(|id| config.rules.get(&id));
        if let Some(rule) = rule {
            let spec = registry.spec(&rule.process.kind);
            return self.rule(&config, rule, spec);
        }
        if let Some(spec) = registry.spec(target) {
            return if self.json { output::json(&json!(spec)) } else { print_spec(spec, None) };
        }
        match target.split_once('/').map(|(bucket, key)| (BucketName::parse(bucket), ObjectKey::parse(key))) {
            Some((Ok(bucket), Ok(key))) => self.object(&config, &bucket, &key),
            _ => Err(Ending::not_found(format!(
                "{target:?} is no rule of {}, no processor and no bucket/key; `filemill rules explain` lists processors",
                config.name
            ))),
        }
    }

    fn list<'a>(&self, specs: impl Iterator<Item = &'a ProcessorSpec>) -> Result<()> {
        if self.json {
            return output::json(&json!({ "items": specs.collect::<Vec<_>>() }));
        }
        let mut table = Table::new(&["PROCESSOR", "WHAT IT DOES"], &[]);
        specs.for_each(|spec| table.row([spec.kind.to_string(), spec.summary.to_string()]));
        table.print()
    }

    fn rule(&self, config: &Config, rule: &Rule, spec: Option<&ProcessorSpec>) -> Result<()> {
        let shown = config.without_secrets(serde_json::to_value(rule)?);
        if self.json {
            return output::json(&json!({ "rule": shown, "processor": spec }));
        }
        output::line(format_args!("rule {}: takes objects of {}: {}", rule.id, rule.from, matching(&shown["match"])))?;
        output::line(format_args!("its results go to {}/{}", rule.output.bucket, rule.output.key.as_str()))?;
        output::line("")?;
        spec.map_or(Ok(()), |spec| print_spec(spec, Some(&shown["process"])))
    }

    fn object(&self, config: &Config, bucket: &BucketName, key: &ObjectKey) -> Result<()> {
        let subject = Subject { key, size: self.size.0, content_type: self.content_type.as_deref() };
        let mut explained = explain(config.rules.all().iter(), bucket, subject);
        let target = |e: &Explained| e.target.as_ref().map(|t| format!("{}/{}", t.bucket, t.key));
        if self.json {
            let item = |e: &Explained| json!({ "rule": e.rule.id, "starts": e.refusal.is_none(), "reason": e.refusal, "output": target(e) });
            return output::json(&json!({ "items": explained.iter().map(item).collect::<Vec<_>>() }));
        }
        explained.sort_by_key(|e| e.refusal.is_some());
        let mut table = Table::new(&["RULE", "STARTS", "PROCESSOR", "RESULT OR REASON"], &[]);
        for e in &explained {
            let starts = if e.refusal.is_none() { "yes" } else { "no" };
            let end = e.refusal.clone().or_else(|| target(e)).unwrap_or_default();
            table.row([e.rule.id.to_string(), starts.into(), e.rule.process.kind.clone(), end]);
        }
        table.print()
    }
}

/// The options of a processor, with the values that a rule gives.
fn print_spec(spec: &ProcessorSpec, given: Option<&Value>) -> Result<()> {
    output::line(format_args!("{}: {}", spec.kind, spec.summary))?;
    if spec.options.is_empty() {
        return output::line("It has no options.");
    }
    spec.options.iter().try_for_each(|option| {
        let here = given.and_then(|given| given.get(option.name));
        output::line(format_args!("\n{}", lines_of(option, here).join("\n")))
    })
}

/// `name  type, default`, then what it means, no wider than a terminal.
fn lines_of(option: &OptionSpec, here: Option<&Value>) -> Vec<String> {
    let mut head = format!("  {}  {}", option.name, option.kind);
    if option.required {
        head.push_str(", required");
    }
    if !option.default.is_empty() {
        head.push_str(&format!(", default {}", option.default));
    }
    if let Some(here) = here {
        head.push_str(&format!(", here {here}"));
    }
    let mut lines = vec![head];
    lines.extend(wrapped(option.summary));
    if option.choices.is_empty() {
        lines.extend(wrapped(&format!("For example {}", option.example)));
    } else {
        lines.extend(wrapped(&format!("One of {}", option.choices.join(", "))));
    }
    lines
}

/// Indented lines; broken at spaces.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && INDENT.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(format!("{INDENT}{}", std::mem::take(&mut line)));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("{INDENT}{line}"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_option_is_told_within_the_width_of_a_terminal() {
        let option = OptionSpec {
            default: "\"a\"",
            choices: &["\"a\"", "\"b\""],
            ..OptionSpec::new(
                "mode",
                "string",
                "What becomes of a record that is not as it should be, in short.",
                "\"b\"",
            )
        };
        let told = lines_of(&option, Some(&json!("b")));
        assert_eq!(told[0], "  mode  string, default \"a\", here \"b\"");
        assert_eq!(told.last().map(String::as_str), Some("      One of \"a\", \"b\""));
        let long = wrapped(&"word ".repeat(100));
        assert!(long.len() > 1 && long.iter().all(|line| line.len() <= WIDTH), "{long:?}");
        assert_eq!(long.join(" ").split_whitespace().count(), 100);
    }
}
