//! Sentiment of many sentences inside of one process: the compound scores are equal to four decimals, or it does not count.
//!
//! Ours gets one text with all of them and finds the sentences itself; the peer gets them one by one.

use super::{Plan, note};
use crate::input::opinions;
use crate::inside::{self, Kind};
use crate::report::{Row, Side, Target};
use crate::toolbox::{Tool, script};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::path::Path;

/// For each document of the other jobs.
const SENTENCES: u64 = 20;
const VADER: &str = include_str!("../../python/sentiment_all.py");

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("sentiment: many sentences in one process");
    let folder = plan.workplace.folder("sentiment")?;
    let [documents, our_results, their_results] =
        ["documents", "ours", "theirs"].map(|n| folder.join(format!("{n}.json")));
    let sentences: Vec<String> = (0..plan.files * SENTENCES).map(opinions::sentence).collect();
    fs::write(&documents, serde_json::to_vec(&sentences)?)?;
    let python = plan.toolbox.find(Tool::Vader);
    let amount = sentences.len() as f64;
    let (mut ours, mut theirs) = ((Side::default(), Side::default()), (Side::default(), Side::default()));
    let ours_run = |_| {
        let worked = inside::time(|| inside::ours(Kind::Sentiment), &documents, &our_results)?;
        worked.add_to(&mut ours.0, &mut ours.1, amount);
        Ok(())
    };
    let is_compared = RefCell::new(false);
    let peer_run = |round| {
        let Some(python) = &python else { return Ok(()) };
        note(&format!("sentiment: round {}, vaderSentiment", round + 1));
        let worked = inside::time(|| Ok(script(python, VADER)), &documents, &their_results)?;
        worked.add_to(&mut theirs.0, &mut theirs.1, amount);
        if !is_compared.replace(true) {
            same_scores(&sentences, &our_results, &their_results)?;
        }
        Ok(())
    };
    plan.round_robin(ours_run, peer_run)?;
    let peer = |side| python.is_some().then_some(("vaderSentiment", side));
    let job = format!("sentiment of {} sentences, in one process", sentences.len());
    let row = |job, ours, theirs, target| Row { job, unit: "/s", ours, peer: peer(theirs), target };
    Ok(vec![
        row(job, ours.0, theirs.0, Target::RatioAtLeast(20.0)),
        row("the same, for each second of CPU".into(), ours.1, theirs.1, Target::None),
    ])
}

fn same_scores(sentences: &[String], ours: &Path, theirs: &Path) -> Result<()> {
    let verdict: Vec<String> = serde_json::from_str(&fs::read_to_string(ours)?)?;
    let verdict: Value = serde_json::from_str(verdict.first().context("there is no verdict")?)?;
    let ours = verdict["sentences"].as_array().context("a verdict without sentences")?;
    let theirs: Vec<f64> = serde_json::from_str(&fs::read_to_string(theirs)?)?;
    ensure!(ours.len() == theirs.len(), "{} sentences and {}", ours.len(), theirs.len());
    for ((ours, theirs), sentence) in ours.iter().zip(theirs).zip(sentences) {
        ensure!(ours["text"] == sentence.as_str(), "{sentence:?} was cut into {}", ours["text"]);
        let ours = ours["compound"].as_f64().unwrap_or(f64::NAN);
        ensure!((ours - theirs).abs() < 0.00015, "{sentence:?} has {ours} and {theirs}");
    }
    Ok(())
}
