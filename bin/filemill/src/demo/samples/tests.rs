//! The samples are complete, they are what they seem, and their right results are what the processors give.

use super::*;
use crate::config::{Config, Overrides};
use filemill_core::matching::Subject;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{ProcessError, SourceInfo, SourceName, Sources};
use filemill_core::rule::RuleId;
use filemill_engine::{Explained, OneShot, OneShotWork, explain};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// All files below, by their paths from there.
fn files(root: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("inside").to_str().expect("UTF-8").to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(found.insert(name)),
            }
        }
    }
    found
}

fn starter() -> Config {
    Config::load(None, &Overrides::default()).expect("the starter config")
}

/// The rules that the sample starts, with the keys of their results.
fn started(config: &Config, sample: &Sample) -> Vec<(RuleId, String)> {
    let (bucket, key) =
        (BucketName::parse(sample.bucket).expect("a name"), ObjectKey::parse(sample.key).expect("a key"));
    let subject = Subject { key: &key, size: sample.content.len() as u64, content_type: None };
    let starts = explain(config.rules.all().iter(), &bucket, subject).into_iter().filter(|e| e.refusal.is_none());
    starts.map(|Explained { rule, target, .. }| (rule.id.clone(), target.expect("a target").key.to_string())).collect()
}

#[test]
fn every_file_of_the_folder_is_in_the_binary() {
    let path = |sample: &Sample| match sample.bucket {
        "uploads" => sample.key.to_owned(),
        bucket => format!("{bucket}/{}", sample.key),
    };
    let listed: BTreeSet<String> = all().iter().map(path).collect();
    let found = files(&folder()).into_iter().filter(|path| path != ".gitattributes" && !path.starts_with("expected/"));
    assert_eq!(found.collect::<BTreeSet<_>>(), listed);
}

#[test]
fn the_samples_are_what_their_names_say() {
    let all = all();
    let sample = |key: &str| all.iter().find(|s| s.key == key).expect(key).content;
    assert!(sample("windows-report.txt").windows(2).any(|w| w == b"\r\n"));
    assert!(sample("blank-lines.txt").windows(2).any(|w| w == b"\n\n"));
    assert!(sample("empty.txt").is_empty());
    assert_ne!(sample("no-final-newline.txt").last(), Some(&b'\n'));
    let mixed = sample("logs/mixed.log");
    assert!(mixed.contains(&0) && std::str::from_utf8(mixed).is_err());
    let members = std::str::from_utf8(sample("members.csv")).expect("UTF-8");
    for nasty in
        ["\u{feff}id,\"Name, first", "Note: \"\"own", "Likes:\r\n", "0007", "12345678901234567890", ",,,,", "Ñ"]
    {
        assert!(members.contains(nasty), "{nasty}");
    }
}

#[test]
fn each_sample_starts_the_rules_that_it_should_and_no_two_results_share_a_key() {
    let config = starter();
    let mut keys = BTreeSet::new();
    for sample in all() {
        let started = started(&config, &sample);
        let rules: BTreeSet<&str> = started.iter().map(|(rule, _)| rule.as_str()).collect();
        assert_eq!(rules, sample.results.iter().map(|e| e.rule).collect(), "{}", sample.key);
        started.into_iter().for_each(|(_, key)| assert!(keys.insert(key.clone()), "{key} comes twice"));
    }
}

#[test]
fn every_rule_and_every_processor_has_a_sample() {
    let config = starter();
    let shown: BTreeSet<&str> = all().iter().flat_map(|sample| &sample.results).map(|e| e.rule).collect();
    assert_eq!(shown, config.rules.all().iter().map(|rule| rule.id.as_str()).collect());
    let used: BTreeSet<&str> = config.rules.all().iter().map(|rule| rule.process.kind.as_str()).collect();
    assert_eq!(used, filemill_processors::ALL.iter().map(|processor| &*processor.spec().kind).collect());
}

/// With `UPDATE_GOLDEN=1` the files of `samples/expected` are written anew: look at the difference, and check it with
/// other tools.
#[test]
fn the_right_results_are_what_the_processors_give() {
    let config = starter();
    let mut made = BTreeSet::new();
    for sample in all() {
        for (rule, key) in started(&config, &sample) {
            let expected = sample.results.iter().find(|e| e.rule == rule.as_str()).expect("a right result");
            let (result, rejects) = processed(&config, &rule, &sample);
            if let Right::Bytes(right) = expected.right {
                check(&key, &result, right);
                made.insert(key.clone());
            }
            if !rejects.is_empty() || !expected.rejects.is_empty() {
                let key = format!("{key}.rejects.jsonl");
                check(&key, &rejects, expected.rejects);
                made.insert(key);
            }
        }
    }
    assert_eq!(files(&folder().join("expected")), made);
}

fn check(key: &str, result: &[u8], right: &[u8]) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(folder().join("expected").join(key), result).expect("written");
        return;
    }
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(result == right, "{key} is now\n{}\nand was\n{}", text(result), text(right));
}

/// The result and the rejects.
fn processed(config: &Config, rule: &RuleId, sample: &Sample) -> (Vec<u8>, Vec<u8>) {
    let rule = config.rules.get(rule).expect("a rule");
    let one_shot = OneShot::new(&config.processors, &rule.process).expect("good options");
    let size = sample.content.len() as u64;
    let survey = one_shot.needs_survey().then(|| one_shot.survey(size, &mut &*sample.content).expect("a survey"));
    let (mut output, mut rejects) = (Vec::new(), Vec::new());
    let work = OneShotWork {
        input: &mut &*sample.content,
        output: &mut output,
        rejects: &mut rejects,
        sources: &SamplesAsSources,
    };
    one_shot.run(sample.key, Some(size), survey, work).expect(sample.key);
    (output, rejects)
}

struct SamplesAsSources;

impl SamplesAsSources {
    fn content(source: &SourceName) -> Option<&'static [u8]> {
        let bucket = source.bucket.as_ref()?.as_str();
        all().iter().find(|s| s.bucket == bucket && s.key == source.key.as_str()).map(|s| s.content)
    }
}

impl Sources for SamplesAsSources {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let found =
            |content: &[u8]| SourceInfo { name: source.clone(), size: content.len() as u64, etag: "sample".into() };
        Ok(Self::content(source).map(found))
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        Ok(Box::new(Self::content(&source.name).expect("found before")))
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Err(ProcessError::input("no_link", "no service runs here"))
    }
}
