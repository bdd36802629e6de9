//! `filemill rules`: the rules of a running service; `rules check` and `rules explain` read a config file without starting
//! anything.

mod explain;

use crate::client::access::Access;
use crate::config::{Config, Overrides};
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::rule::Rule;
use serde_json::{Value, json};
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
}

impl Args {
    pub fn run(self) -> Result<()> {
        match self.verb {
            Some(Verb::Check { file, json }) => check(file, json),
            Some(Verb::Explain(args)) => args.run(),
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
        let matching = if rule["match"] == json!({}) { "all".into() } else { text(&rule["match"]) };
        let state = if rule["enabled"] == json!(false) { "disabled" } else { "" };
        let cells =
            [text(&rule["id"]), text(&rule["from"]), matching, text(&rule["process"]), output, text(&rule["queue"])];
        table.row(cells.into_iter().chain([state.to_owned()]));
    }
    table.print()
}
