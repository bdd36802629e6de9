//! `filemill dead`: the dead letters, listed, grouped by what went wrong, shown one by one, discarded.

mod filter;

use crate::client::access::Access;
use crate::client::views::Listed;
use crate::client::{Client, segment};
use crate::exit::Ending;
use crate::output::{self, Table};
use anyhow::Result;
pub use filter::Filter;
use serde_json::{Value, json};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// One letter with all its attempts
    id: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// dead, redriven or discarded
    #[arg(long, default_value = "dead")]
    status: String,
    /// By what went wrong, the largest groups first
    #[arg(long, conflicts_with = "id")]
    groups: bool,
    /// Discard the letter, or all that the filter finds; their jobs stay failed
    #[arg(long, conflicts_with = "groups")]
    discard: bool,
    /// With --discard: all that are dead
    #[arg(long, requires = "discard", conflicts_with = "id")]
    all: bool,
    /// With --discard: only count them
    #[arg(long, requires = "discard")]
    dry_run: bool,
    /// How many at most
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Args {
    pub fn run(self) -> Result<()> {
        if self.id.is_some() && !self.filter.is_empty() {
            return Err(Ending::usage("name a letter or filter them, not both"));
        }
        let client = self.access.client()?;
        match (&self.id, self.discard, self.groups) {
            (Some(id), true, _) => self.discard_one(&client, id),
            (Some(id), false, _) => self.show(&client, id),
            (None, true, _) => self.discard_all(&client),
            (None, false, true) => self.groups(&client),
            (None, false, false) => self.list(&client),
        }
    }

    fn query(&self) -> Vec<(&str, &str)> {
        self.filter.pairs().into_iter().chain([("status", self.status.as_str())]).collect()
    }

    fn list(&self, client: &Client) -> Result<()> {
        let letters: Listed<Value> = client.list("/v1/dead", &self.query(), self.limit)?;
        if self.json {
            return output::json(&letters.to_json());
        }
        let mut table = Table::new(&["LETTER", "RULE", "FILE", "TASK", "TRIES", "ERROR", "DIED"], &[4]);
        for letter in &letters.views {
            table.row(cells(letter));
        }
        table.print()?;
        if letters.next_cursor.is_some() {
            eprintln!("there are more; --limit shows them, --groups sums them up");
        }
        Ok(())
    }

    fn groups(&self, client: &Client) -> Result<()> {
        let limit = self.limit.to_string();
        let query: Vec<_> = self.query().into_iter().chain([("limit", limit.as_str())]).collect();
        let answer = client.get("/v1/dead/groups", &query)?;
        if self.json {
            return output::json(&answer);
        }
        let mut table = Table::new(&["FINGERPRINT", "COUNT", "NEWEST OF RULE", "ERROR", "FIRST", "LAST"], &[1]);
        for group in answer["items"].as_array().into_iter().flatten() {
            let (first, last) = (output::time(&text(group, "first_at")), output::time(&text(group, "last_at")));
            let (count, error) = (group["count"].to_string(), error_of(&group["error"]));
            table.row([text(group, "fingerprint"), count, text(group, "rule"), error, first, last]);
        }
        table.print()?;
        if answer["items"].as_array().is_some_and(|groups| groups.len() as u64 >= self.limit) {
            eprintln!("there may be more; --limit shows up to 1000, a filter such as --rule the others");
        }
        Ok(())
    }

    fn show(&self, client: &Client, id: &str) -> Result<()> {
        let letter = client.get(&path_of(id), &[])?;
        if self.json {
            return output::json(&letter);
        }
        let rows = [
            ("letter", text(&letter, "id")),
            ("status", text(&letter, "status")),
            ("job", text(&letter, "job")),
            ("task", task_of(&letter)),
            ("queue", text(&letter, "queue")),
            ("rule", format!("{} ({})", text(&letter, "rule"), text(&letter, "processor"))),
            ("options", letter["options"].to_string()),
            ("file", format!("{}/{}", text(&letter, "bucket"), text(&letter, "key"))),
            ("error", error_of(&letter["error"])),
            ("group", text(&letter, "fingerprint")),
            ("died", output::time(&text(&letter, "died_at"))),
        ];
        for (name, value) in rows {
            output::line(format_args!("{name:<9} {}", output::printable_lines(&value)))?;
        }
        if let Some(until) = letter["resumable_until"].as_str() {
            output::line(format_args!("kept      finished chunks, until {}", output::time(until)))?;
        }
        if let Some(by) = letter["ended"]["by"].as_str() {
            let at = output::time(&text(&letter["ended"], "at"));
            output::line(format_args!("ended     {at} by {}", output::printable(by)))?;
        }
        let mut table = Table::new(&["ATTEMPT", "WORKER", "ERROR"], &[]);
        for attempt in letter["attempts"].as_array().into_iter().flatten() {
            let error = match &attempt["error"] {
                Value::Null => "the worker stopped without a word".to_owned(),
                error => error_of(error),
            };
            table.row([output::time(&text(attempt, "at")), text(attempt, "worker"), error]);
        }
        table.print()
    }

    fn discard_one(&self, client: &Client, id: &str) -> Result<()> {
        if self.dry_run {
            return Err(Ending::usage("--dry-run counts what a filter finds; one letter is one"));
        }
        client.delete(&path_of(id))?;
        if self.json { output::json(&client.get(&path_of(id), &[])?) } else { Ok(()) }
    }

    fn discard_all(&self, client: &Client) -> Result<()> {
        if self.filter.is_empty() && !self.all {
            return Err(Ending::usage("name a letter, give a filter such as --rule, or say --all"));
        }
        if self.status != "dead" {
            return Err(Ending::usage("only dead letters can be discarded"));
        }
        let wish = json!({ "filter": self.filter.to_json(), "dry_run": self.dry_run });
        let answer = client.post("/v1/dead/discard", &wish)?;
        if self.json {
            return output::json(&answer);
        }
        let verb = if self.dry_run { "would be discarded" } else { "discarded" };
        let letters = output::counted(answer["count"].as_u64().unwrap_or(0), "letter");
        output::line(format_args!("{letters} {verb}"))
    }
}

fn path_of(id: &str) -> String {
    format!("/v1/dead/{}", segment(id))
}

fn cells(letter: &Value) -> [String; 7] {
    [
        text(letter, "id"),
        text(letter, "rule"),
        format!("{}/{}", text(letter, "bucket"), text(letter, "key")),
        task_of(letter),
        letter["attempts"].as_array().map_or(0, Vec::len).to_string(),
        error_of(&letter["error"]),
        output::time(&text(letter, "died_at")),
    ]
}

fn task_of(letter: &Value) -> String {
    match letter["chunk"].as_u64() {
        Some(chunk) => format!("chunk {chunk}"),
        None => text(letter, "task"),
    }
}

fn error_of(error: &Value) -> String {
    format!("{}: {}", text(error, "code"), text(error, "message"))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
