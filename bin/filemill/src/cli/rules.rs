//! `filemill rules`: the rules of a running service, and backfills of them; `rules check` and `rules explain` read a config file without starting
//! anything.

mod backfill;
mod explain;

use crate::client::access::Access;
use crate::config::{Config, Overrides};
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::rule::Rule;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Check a config file fully and print its rules; starts nothing
    Check {
        /// [default: the built-in starter config]
        #[arg(env = "FILEMILL_CONFIG")]
        file: Option<PathBuf>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Explain a rule or a processor with its options, or what would become of an object (bucket/key)
    Explain(explain::Args),
    /// Run a rule over objects that are there already
    Backfill(backfill::Args),
}

impl Args {
    pub fn run(self) -> Result<()> {
        match self.verb {
            Some(Verb::Check { file, json }) => check(file, json),
            Some(Verb::Explain(args)) => args.run(),
            Some(Verb::Backfill(args)) => args.run(),
            None => self.list(),
        }
    }

    fn list(&self) -> Result<()> {
        let answer = self.access.client()?.get("/v1/rules", &[])?;
        if self.json {
            return output::json(&answer);
        }
        let none = Vec::new();
        print(answer["items"].as_array().unwrap_or(&none))
    }
}

fn check(file: Option<PathBuf>, as_json: bool) -> Result<()> {
    let config = Config::load(file.as_deref(), &Overrides::default())?;
    let rules: Vec<Value> = config.rules.all().iter().map(|r| config.without_secrets(to_json(r))).collect();
    if as_json {
        return output::json(&json!({ "config": config.name, "items": rules }));
    }
    print(&rules)?;
    output::line(format_args!("{} is good", config.name))
}

fn to_json(rule: &Rule) -> Value {
    serde_json::to_value(rule).expect("a rule was read from text and writes back to it")
}

fn print(rules: &[Value]) -> Result<()> {
    let mut table = Table::new(&["RULE", "FROM", "MATCH", "PROCESS", "OUTPUT", "QUEUE", ""], &[]);
    for rule in rules {
        let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
        let output = format!("{}/{}", text(&rule["output"]["bucket"]), text(&rule["output"]["key"]));
        let state = if rule["enabled"] == json!(false) { "disabled" } else { "" };
        let cells = [
            text(&rule["id"]),
            text(&rule["from"]),
            matching(&rule["match"]),
            process(&rule["process"]),
            output,
            text(&rule["queue"]),
        ];
        table.row(cells.into_iter().chain([state.to_owned()]));
    }
    table.print()
}

/// `key suffix=".csv" or glob="in/**", size lte="1TiB"`: what a comma joins must hold together.
fn matching(pattern: &Value) -> String {
    let entry = |entry: &Value| entry.as_object().map_or_else(|| entry.to_string(), |given| assignments(given, ""));
    let entries = |all: &Value| all.as_array().into_iter().flatten().map(entry).collect::<Vec<_>>().join(" or ");
    let named = pattern.as_object().into_iter().flatten().map(|(name, all)| format!("{name} {}", entries(all)));
    let all = named.collect::<Vec<_>>().join(", ");
    if all.is_empty() { "all".to_owned() } else { all }
}

/// `csv.transform ragged="reject" to="jsonl"`
fn process(process: &Value) -> String {
    let kind = process["kind"].as_str().unwrap_or_default();
    let options = process.as_object().map_or_else(String::new, |given| assignments(given, "kind"));
    format!("{kind} {options}").trim_end().to_owned()
}

fn assignments(given: &Map<String, Value>, but: &str) -> String {
    let others = given.iter().filter(|(name, _)| *name != but);
    others.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_it_was_written() {
        let pattern = json!({
            "key": [{ "prefix": "in/", "suffix": ".log" }, { "glob": "**/*.txt" }],
            "size": [{ "lte": "1TiB" }],
            "content_type": ["text/*"],
        });
        let said = matching(&pattern);
        for part in
            [r#"key prefix="in/" suffix=".log" or glob="**/*.txt""#, r#"size lte="1TiB""#, r#"content_type "text/*""#]
        {
            assert!(said.split(", ").any(|s| s == part), "{part}: {said}");
        }
        assert_eq!(matching(&json!({})), "all");
        assert_eq!(process(&json!({ "kind": "gzip" })), "gzip");
        assert_eq!(process(&json!({ "kind": "gzip", "level": 9 })), "gzip level=9");
    }
}
