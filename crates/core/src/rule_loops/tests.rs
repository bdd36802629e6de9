//! Circles that are and are not there; and the search compared with all short keys.

use super::*;
use crate::key_template::KeyParts;
use crate::matching::Subject;
use proptest::prelude::*;
use serde_json::{Value, json};

fn rule(id: &str, matches: Value, output: &str, max_generation: u32) -> Arc<Rule> {
    let rule = json!({
        "id": id, "from": "data", "match": { "key": matches }, "process": { "kind": "x" },
        "output": { "bucket": "data", "key": output }, "max_generation": max_generation,
    });
    Arc::new(serde_json::from_value(rule).expect("a rule"))
}

fn verdict(rules: &[Arc<Rule>]) -> Result<(), String> {
    check(rules, |_| false)
}

#[test]
fn a_rule_that_takes_its_own_output_is_refused_with_an_example() {
    let gunzip = rule("gunzip", json!([{ "suffix": ".gz" }]), "{dir}{stem}", 2);
    let error = verdict(&[gunzip]).expect_err("it unpacks what it unpacked");
    assert!(error.starts_with(r#"rule "gunzip": what it writes can start it again; data/"#), "{error}");
    assert!(error.contains(".gz would go to data/") && error.contains("max_generation = 1"), "{error}");
}

#[test]
fn uploads_only_is_never_a_circle() {
    assert_eq!(verdict(&[rule("all", json!([]), "done/{key}", 1)]), Ok(()));
}

#[test]
fn a_match_that_leaves_out_the_results_is_no_circle() {
    for (matches, output) in [
        (json!([{ "prefix": "in/" }]), "out/{name}"),
        (json!([{ "not_prefix": "done/" }]), "done/{key}"),
        (json!([{ "suffix": ".csv" }]), "{dir}{stem}.jsonl"),
        (json!([{ "glob": "*.md" }]), "html/{stem}.md"),
        (json!([{ "prefix": "in/" }]), "{stem}/{name}/in/x"),
    ] {
        let found = verdict(&[rule("one", matches.clone(), output, 5)]);
        let may_be = output.starts_with("{stem}");
        assert_eq!(found.is_err(), may_be, "{matches} {output}: {found:?}");
    }
    let out_of_order = rule("one", json!([{ "prefix": "in/" }]), "out/{name}/{dir}", 5);
    assert_eq!(verdict(&[out_of_order]), Ok(()), "whatever the parts are, it begins with out/");
}

#[test]
fn a_circle_over_several_rules_is_named_in_its_order() {
    let up = rule("up", json!([{ "suffix": ".a" }]), "{dir}{stem}.b", 3);
    let down = rule("down", json!([{ "suffix": ".b" }]), "{dir}{stem}.a", 3);
    let aside = rule("aside", json!([{ "suffix": ".a" }]), "{key}.c", 3);
    let error = verdict(&[aside, up, down]).expect_err("a circle");
    assert!(error.starts_with(r#"rules "up" -> "down" -> "up": what they write goes in a circle; data/"#), "{error}");
}

#[test]
fn a_circle_counts_only_as_deep_as_its_rules_let_it_come() {
    let circle = |of_up, of_down| {
        let up = rule("up", json!([{ "suffix": ".a" }]), "{dir}{stem}.b", of_up);
        verdict(&[up, rule("down", json!([{ "suffix": ".b" }]), "{dir}{stem}.a", of_down)]).is_err()
    };
    assert!(!circle(2, 2), "after two steps the object is of generation 2, which neither takes");
    assert!(!circle(1, 5) && !circle(5, 1));
    assert!(circle(3, 2), "up, down, up again");
    assert!(circle(2, 3), "down, up, down again");
}

#[test]
fn a_disabled_rule_is_started_by_no_output() {
    let mut off = Rule::clone(&rule("off", json!([]), "x/{key}", 5));
    off.enabled = false;
    assert_eq!(verdict(&[Arc::new(off)]), Ok(()));
}

#[test]
fn rejects_that_start_their_own_rule_are_a_circle() {
    let to_csv = rule("to-csv", json!([{ "suffix": ".jsonl" }]), "{dir}{stem}.csv", 2);
    assert_eq!(verdict(std::slice::from_ref(&to_csv)), Ok(()));
    let error = check(&[to_csv], |_| true).expect_err("x.csv.rejects.jsonl is taken");
    assert!(error.contains("; rejects of data/"), "{error}");
}

#[test]
fn a_long_list_of_globs_is_judged_in_time() {
    let globs: Vec<Value> = (0..60).map(|n| json!({ "glob": format!("**a{n}*b**c*d{n}**") })).collect();
    // whatever the verdict is, it comes
    let _verdict = verdict(&[rule("globs", Value::Array(globs), "{dir}{stem}-{ext}", 5)]);
}

/// All keys of up to five characters, in `a / .` and one other.
fn short_keys() -> Vec<String> {
    let mut keys = vec![String::new()];
    let mut all = Vec::new();
    for _ in 0..5 {
        keys = keys.iter().flat_map(|key| ['a', '/', '.', 'z'].map(|letter| format!("{key}{letter}"))).collect();
        all.extend(keys.iter().cloned());
    }
    all
}

fn takes(rule: &Rule, key: &str) -> bool {
    rule.pattern.matches(Subject { key, size: 0, content_type: None })
}

fn written(rule: &Rule, key: &str) -> Option<String> {
    let parts = KeyParts { bucket: "data", key, rule: rule.id.as_str() };
    rule.output.key.key_for(parts).ok().map(|key| key.to_string())
}

fn some_match() -> impl Strategy<Value = Value> {
    let word = || "[a/.]{1,3}";
    let entry = prop_oneof![
        word().prop_map(|w| json!({ "prefix": w })),
        word().prop_map(|w| json!({ "suffix": w })),
        word().prop_map(|w| json!({ "not_suffix": w })),
        (word(), word()).prop_map(|(p, n)| json!({ "prefix": p, "not_prefix": n })),
        "[a/.*?]{1,4}".prop_map(|g| json!({ "glob": g })),
        word().prop_map(|w| json!({ "equals": w })),
    ];
    prop::collection::vec(entry, 0..3).prop_map(Value::Array)
}

fn some_output() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec!["a", "/", ".", "{key}", "{dir}", "{name}", "{stem}", "{ext}"]);
    prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat() + "a")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    /// Against all short keys: what one of them shows is found, and what is found is so.
    #[test]
    fn what_can_be_reached_is_what_some_key_reaches(
        of_writer in some_match(), output in some_output(), of_reader in some_match(),
    ) {
        let (writer, reader) = (rule("w", of_writer, &output, 2), rule("r", of_reader, "x", 2));
        let shown = short_keys().into_iter().any(|key| {
            takes(&writer, &key) && written(&writer, &key).is_some_and(|output| takes(&reader, &output))
        });
        match reach::reach(&writer, "", &reader) {
            Reach::No => prop_assert!(!shown),
            Reach::Perhaps => {}
            Reach::Yes { input, output } => {
                prop_assert!(takes(&writer, &input), "{input:?}");
                prop_assert_eq!(written(&writer, &input), Some(output.clone()));
                prop_assert!(takes(&reader, &output), "{output:?}");
            }
        }
    }
}
