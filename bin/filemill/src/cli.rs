//! The command line: one variant per command, one file per command in `cli/`.

mod alarms;
mod archive;
mod audit;
mod backup;
mod dead;
mod deliveries;
mod demo;
mod doctor;
mod files;
mod findings;
mod get;
mod job;
mod jobs;
mod keys;
mod listing;
mod ls;
mod order;
mod put;
mod queues;
mod reconcile;
mod redrive;
mod restore;
mod rules;
mod run;
mod serve;

use crate::clock::SystemClock;
use crate::exit::EXIT_CODES;
use anyhow::Result;
use clap::{Parser, Subcommand};
use filemill_core::duration::parse_duration;
use filemill_core::ports::Clock;
use filemill_core::time::Timestamp;

/// Self-hosted file processing: upload a file, rules start jobs, download the result
#[derive(Parser)]
#[command(name = "filemill", version, after_help = EXIT_CODES, max_term_width = 120)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service
    Serve(serve::Args),
    /// Watch the service work on sample files, in a temporary folder
    Demo(demo::Args),
    /// Process files here and now, without a service
    Run(run::Args),
    /// Upload files
    Put(put::Args),
    /// Download a job's result, a file or an object
    Get(get::Args),
    /// List objects
    Ls(ls::Args),
    /// List files with their ids; show or remove one
    Files(files::Args),
    /// List jobs
    Jobs(jobs::Args),
    /// Show, follow, cancel or retry one job
    Job(job::Args),
    /// Put objects, or the results of jobs, into a zip archive
    Archive(archive::Args),
    /// List what processors found in files, such as their sentiment
    Findings(findings::Args),
    /// List queues with what waits, runs and gave up in each
    Queues(queues::Args),
    /// List, group, show or discard dead letters: tasks that gave up
    Dead(dead::Args),
    /// Put dead letters back to work
    Redrive(redrive::Args),
    /// List alarms with their state, or their history
    Alarms(alarms::Args),
    /// Who was told what; show one, or send it again
    Deliveries(deliveries::Args),
    /// Compare buckets with the records of their files, and make good what was missed
    Reconcile(reconcile::Args),
    /// Look for anything in the store that contradicts anything else
    Doctor(doctor::Args),
    /// Write everything but the credentials into one file
    Backup(backup::Args),
    /// Make a data folder from a backup, or verify one
    Restore(restore::Args),
    /// List, make and revoke keys: who may do what
    Keys(keys::Args),
    /// Who ordered what: the audit log
    Audit(audit::Args),
    /// List the service's rules; check a config file, explain a rule, a processor or an object
    Rules(rules::Args),
}

impl Cli {
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Run(args) => args.run(),
            Command::Put(args) => args.run(),
            Command::Get(args) => args.run(),
            Command::Ls(args) => args.run(),
            Command::Files(args) => args.run(),
            Command::Jobs(args) => args.run(),
            Command::Job(args) => args.run(),
            Command::Archive(args) => args.run(),
            Command::Findings(args) => args.run(),
            Command::Queues(args) => args.run(),
            Command::Dead(args) => args.run(),
            Command::Redrive(args) => args.run(),
            Command::Alarms(args) => args.run(),
            Command::Deliveries(args) => args.run(),
            Command::Reconcile(args) => args.run(),
            Command::Doctor(args) => args.run(),
            Command::Backup(args) => args.run(),
            Command::Restore(args) => args.run(),
            Command::Keys(args) => args.run(),
            Command::Audit(args) => args.run(),
            Command::Rules(args) => args.run(),
        }
    }
}

/// `KEY=VALUE` where the value is JSON if it reads as JSON, and text otherwise.
fn key_value(text: &str) -> Result<(String, serde_json::Value), String> {
    let (key, value) = text.split_once('=').filter(|(k, _)| !k.is_empty()).ok_or("write KEY=VALUE")?;
    Ok((key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| value.into())))
}

/// A time as REST takes it: RFC 3339, a day (its begin in UTC), or how long ago.
fn moment(text: &str) -> Result<String, String> {
    moment_before(text, SystemClock.now())
}

fn moment_before(text: &str, now: Timestamp) -> Result<String, String> {
    let ago = || parse_duration(text).ok().map(|ago| now.minus(ago));
    let at = named_moment(text).or_else(ago).map(|at| at.to_string());
    at.ok_or_else(|| "write 2026-11-20T12:00:00Z, 2026-11-20 or 2h (ago)".to_owned())
}

/// The same, or how long from now.
fn moment_to_come(text: &str) -> Result<String, String> {
    let from_now = || parse_duration(text).ok().map(|time| SystemClock.now().plus(time).to_string());
    let named = named_moment(text).map(|at| at.to_string());
    named.or_else(from_now).ok_or_else(|| "write 2027-01-31T12:00:00Z, 2027-01-31 or 90d (from now)".to_owned())
}

fn named_moment(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00Z")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_time_is_a_moment_a_day_or_how_long_ago() {
        let noon = Timestamp::parse("2026-11-20T12:00:00Z").expect("a time");
        for (text, at) in [
            ("2026-11-19T08:00:00Z", "2026-11-19T08:00:00.000Z"),
            ("2026-11-19T08:00:00+02:00", "2026-11-19T06:00:00.000Z"),
            ("2026-11-19", "2026-11-19T00:00:00.000Z"),
            ("90m", "2026-11-20T10:30:00.000Z"),
            ("30d", "2026-10-21T12:00:00.000Z"),
        ] {
            assert_eq!(moment_before(text, noon).as_deref(), Ok(at), "{text}");
        }
        assert!(moment_before("yesterday", noon).is_err());
        assert_eq!(moment_to_come("2026-11-19").as_deref(), Ok("2026-11-19T00:00:00.000Z"));
        assert!(moment_to_come("90d").is_ok() && moment_to_come("tomorrow").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn option_values_are_json_where_they_read_as_json() {
        assert_eq!(key_value("n=5"), Ok(("n".into(), 5.into())));
        assert_eq!(key_value("text=Hello! "), Ok(("text".into(), "Hello! ".into())));
        assert_eq!(key_value("text=\"5\""), Ok(("text".into(), "5".into())));
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert!(key_value("=x").is_err() && key_value("x").is_err());
    }
}
