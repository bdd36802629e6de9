//! One note, two results: a page without scripts, and a sentiment that is asked for until the note is deleted.

use filemill_e2e::reference::assert_same;
use filemill_e2e::service::JOB_PATIENCE;
use filemill_e2e::{Example, Service, http};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The inside of the page that is made of the first note.
const ZOE: &str = "<h1>Interview with Zoë</h1>\n\
    <p>I love this product. It is a great help every day, and the support was <strong>wonderful</strong>.</p>\n\
    <table><thead><tr><th>asked</th><th>said</th></tr></thead><tbody>\n\
    <tr><td>again?</td><td>yes, happily</td></tr>\n</tbody></table>\n\n";
/// What the second note says, without its markup.
const BO: &[&str] = &[
    "Interview with Bo",
    "The upload failed three times.",
    "That was terrible, and I hate the waiting.",
    "slow",
    "a bad search",
];
const NOTES: &[(&str, &str)] = &[("2026/Zoë 1.md", "POSITIVE"), ("2026/bo.md", "NEGATIVE"), ("2026/cy.md", "NEUTRAL")];

fn findings(service: &Service, filters: &[(&str, &str)]) -> Vec<Value> {
    let page = service.get(&format!("/v1/findings?{}", http::query(filters))).expect(200).json();
    page["items"].as_array().expect("a list has items").clone()
}

fn labels(findings: &[Value]) -> Vec<(&str, &str)> {
    findings.iter().map(|f| (f["key"].as_str().expect("a key"), f["label"].as_str().expect("a label"))).collect()
}

/// Of each value, in the plainest way.
fn means(findings: &[Value]) -> BTreeMap<String, f64> {
    let mut means = BTreeMap::new();
    for (name, value) in findings.iter().flat_map(|f| f["values"].as_object().expect("values")) {
        *means.entry(name.clone()).or_insert(0.0) += value.as_f64().expect("a number") / findings.len() as f64;
    }
    means
}

#[track_caller]
fn expect_summary(summary: &Value, findings: &[Value]) {
    assert_eq!(summary["count"], findings.len(), "{summary}");
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    labels(findings).into_iter().for_each(|(_, label)| *counted.entry(label).or_default() += 1);
    assert_eq!(summary["labels"], json!(counted));
    let averages = summary["averages"].as_object().expect("averages");
    let means = means(findings);
    assert_eq!(averages.len(), means.len(), "{summary}");
    for (name, mean) in means {
        assert!((averages[&name].as_f64().expect("a number") - mean).abs() < 1e-9, "{name}: {mean}, {summary}");
    }
}

/// VADER's own formula on the sum of the words' valences.
fn compound(valences: f64) -> f64 {
    (valences / (valences * valences + 15.0).sqrt() * 10_000.0).round() / 10_000.0
}

fn expect_verdict(verdict: &Value) {
    let scores = ["positive", "negative", "neutral", "mixed"].map(|name| verdict["scores"][name].as_f64());
    let sum: f64 = scores.iter().map(|score| score.expect("a score")).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{verdict}");
    let sentences = verdict["sentences"].as_array().expect("sentences");
    assert_eq!(verdict["sentence_count"], sentences.len());
    assert_eq!(sentences.iter().map(|s| s["text"].as_str().expect("text")).collect::<Vec<_>>(), BO);
    // the lexicon has -2.1 for terrible and -2.7 for hate; six other words; a word weighs one more than its valence
    let (hated, negative) = (&sentences[2], 3.1 + 3.7);
    assert_eq!(hated["compound"].as_f64(), Some(compound(-2.1 - 2.7)), "{hated}");
    for (name, share) in [("negative", negative / (negative + 6.0)), ("neutral", 6.0 / (negative + 6.0))] {
        assert!((hated["scores"][name].as_f64().expect("a score") - share).abs() < 1e-6, "{hated}");
    }
}

#[test]
fn a_note_becomes_a_page_and_a_sentiment_and_takes_its_finding_along() {
    let Some(example) = Example::walked("interview-notes") else { return };
    let page = String::from_utf8(example.file("zoe.html")).expect("UTF-8");
    let inside = page.split_once("<main>\n").and_then(|(_, rest)| rest.split_once("</main>")).expect("a page").0;
    assert_same("the page", inside.as_bytes(), ZOE.as_bytes());
    for words in ["<!DOCTYPE html>", "<meta charset=\"utf-8\">", "<title>Interview with Zoë</title>"] {
        assert!(page.contains(words), "no {words}: {page}");
    }
    let service = &example.stage.service;
    let served = service.bucket("pages").get("2026/Zoë 1.html").expect(200);
    assert_eq!(served.header("content-type"), "text/html; charset=utf-8");

    let verdict = example.json("bo.json");
    assert_eq!(verdict["label"], "NEGATIVE");
    expect_verdict(&verdict);
    let negative = example.json("negative.json");
    let [found] = &negative["items"].as_array().expect("items")[..] else { panic!("{negative}") };
    assert_eq!((&found["key"], &found["bucket"]), (&json!("2026/bo.md"), &json!("notes")));
    for (name, score) in verdict["scores"].as_object().expect("scores") {
        assert_eq!(found["values"][name].as_f64(), score.as_f64(), "{name}");
    }
    let summary = example.json("summary.json");
    assert_eq!(summary["labels"], json!({ "POSITIVE": 1, "NEGATIVE": 1, "NEUTRAL": 1 }), "{summary}");
    let left = findings(service, &[]);
    assert_eq!(labels(&left), [NOTES[0], NOTES[2]]);
    expect_summary(&example.json("after.json"), &left);
    example.stage.service.stop();
}

/// Both jobs of the newest version, completed.
fn put_note(service: &Service, key: &str, text: &[u8]) {
    let tag = service.bucket("notes").put(key, text).header("etag").trim_matches('"').to_owned();
    service.feed.wait(&format!("both jobs of {key}"), JOB_PATIENCE, || {
        let jobs = service.jobs_of("notes", key).into_iter().filter(|job| job.input_etag() == tag);
        let ended: Vec<_> = jobs.filter(|job| job.has_ended()).map(|job| job.expect_completed()).collect();
        (ended.len() == 2).then_some(())
    });
}

#[test]
fn findings_are_filtered_counted_and_follow_the_newest_version() {
    let example = Example::open("interview-notes");
    let service = &example.stage.service;
    for (key, _) in NOTES {
        put_note(service, key, &example.file(&key.replace("2026/", "notes/")));
    }
    put_note(service, "2025/old.md", b"This was bad.\n");
    let all = findings(service, &[]);
    let expected: Vec<(&str, &str)> = [("2025/old.md", "NEGATIVE")].iter().chain(NOTES).copied().collect();
    assert_eq!(labels(&all), expected);
    let last = all.iter().filter_map(|f| f["at"].as_str()).max().expect("a time");
    for (filters, keys) in [
        (&[("label", "NEGATIVE")][..], &["2025/old.md", "2026/bo.md"][..]),
        (&[("key", "2026/*"), ("label", "NEGATIVE")], &["2026/bo.md"]),
        (&[("key", "2026/cy.md")], &["2026/cy.md"]),
        (&[("processor", "text.sentiment"), ("bucket", "notes"), ("limit", "1")], &["2025/old.md"]),
        (&[("processor", "markdown.to_html")], &[]),
        (&[("bucket", "pages")], &[]),
        (&[("until", "2026-01-01T00:00:00Z"), ("since", "2025-01-01T00:00:00Z")], &[]),
    ] {
        let found = findings(service, filters);
        assert_eq!(labels(&found).iter().map(|(key, _)| *key).collect::<Vec<_>>(), keys, "{filters:?}");
    }
    assert_eq!(findings(service, &[("until", last)]).len() + findings(service, &[("since", last)]).len(), all.len());
    for filters in [&[][..], &[("key", "2026/*")], &[("label", "NEUTRAL")], &[("label", "MIXED")]] {
        let query = http::query(filters);
        let summary = service.get(&format!("/v1/findings/summary?{query}")).expect(200).json();
        expect_summary(&summary, &findings(service, filters));
    }

    put_note(service, "2026/bo.md", b"It is wonderful now, I love it.\n");
    assert_eq!(labels(&findings(service, &[("key", "2026/bo.md")])), [("2026/bo.md", "POSITIVE")]);
    // by the S3 door too: what was found goes with the file
    service.bucket("notes").delete("2025/old.md");
    service.feed.wait("the end of the finding", JOB_PATIENCE, || {
        findings(service, &[("key", "2025/old.md")]).is_empty().then_some(())
    });
    service.get("/v1/findings?lable=x").expect_problem(400, "invalid_parameter");
    example.stage.service.stop();
}
