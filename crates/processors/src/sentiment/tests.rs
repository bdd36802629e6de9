//! The sentiment of documents: what is written, how sentences make a document, and what holds for any text.

mod golden;

use super::*;
use crate::suite;
use proptest::prelude::*;
use provider::{COMPOUND_MIN, MIXED_MIN, Scores};
use serde_json::json;

/// Compound scores that vaderSentiment 3.3.2 gives.
const HAND_WRITTEN: [(&str, f64); 40] = [
    ("The train was on time.", 0.0000),
    ("The train was on time and the staff were lovely.", 0.5859),
    ("I love this coffee!", 0.6696),
    ("I love this coffee!!!", 0.7249),
    ("I LOVE this coffee", 0.7125),
    ("i love this coffee", 0.6369),
    ("I do not love this coffee.", -0.5216),
    ("I don't really love this coffee.", -0.5551),
    ("Nobody was happy with the result.", 0.5719),
    ("This is the worst hotel I have ever slept in.", -0.6249),
    ("The room was clean, but the noise was terrible.", -0.5106),
    ("The room was terrible, but the breakfast was great.", 0.6808),
    ("It was never so good as today.", 0.6626),
    ("It was never this good before.", 0.6084),
    ("Without a doubt a wonderful evening.", 0.7013),
    ("He left without saying a kind word.", -0.4168),
    ("That is the least helpful answer of all.", -0.3252),
    ("At least the answer was helpful.", 0.4215),
    ("The soup was kind of good.", 0.3832),
    ("The soup was sort of awful.", -0.5095),
    ("That trick is the bomb", -0.5267),
    ("Yeah right, as if that was a success", 0.7096),
    ("She has a beating heart of gold", 0.8750),
    ("We waited at the bus stop", 0.0000),
    ("This cake is to die for", -0.5994),
    ("Their update was the kiss of death for us", -0.6124),
    ("Very, very slightly disappointing", -0.5345),
    ("An EXTREMELY disappointing and utterly boring film", -0.7795),
    ("Barely acceptable service", 0.2516),
    ("No problem at all", 0.3089),
    ("There is no hope or joy here", -0.6681),
    ("Is this a joke??", 0.3736),
    ("Is this a joke????", 0.4871),
    ("Good :) and bad :(", -0.1280),
    ("Thanks 😁", 0.7096),
    ("😂👎", 0.4404),
    ("Nice❤️", 0.4215),
    ("We can't complain", 0.2755),
    ("It is neither good nor bad", -0.5824),
    ("Rarely happy, seldom sad", -0.6307),
];

/// The result and the report.
fn judged(options: &Value, text: &str) -> (Value, ChunkReport) {
    let ran = suite::whole(&*suite::prepared(&TextSentiment, options), text.as_bytes()).expect("a result");
    (serde_json::from_slice(&ran.output).expect("the result is JSON"), ran.report)
}

fn label_of(text: &str) -> String {
    judged(&json!({}), text).0["label"].as_str().expect("a label").to_owned()
}

#[test]
fn hand_written_sentences_score_as_the_reference_says() {
    let mut vader = vader::Vader::new();
    for (sentence, compound) in HAND_WRITTEN {
        let found = vader.score(sentence).expect("a lexicon has no faults");
        assert!((found.compound - compound).abs() < 5e-5, "{sentence}: {} instead of {compound}", found.compound);
    }
}

#[test]
fn an_empty_file_is_neutral() {
    for text in ["", " \n\n\t", "\u{feff}"] {
        let (result, report) = judged(&json!({}), text);
        let expected = json!({
            "method": "vader-3.3.2", "language": "en", "sentences": [], "label": "NEUTRAL",
            "scores": { "positive": 0, "negative": 0, "neutral": 1, "mixed": 0 }, "compound": 0, "sentence_count": 0,
        });
        assert_eq!(result, expected);
        assert_eq!(report.finding.expect("a finding").label, "NEUTRAL");
    }
}

#[test]
fn a_result_tells_each_sentence_and_the_document_last() {
    let text = "\u{feff}I love it!  “Works” fine.\n\nThe manual is horrible \"junk\".";
    let (result, report) = judged(&json!({}), text);
    let sentences = result["sentences"].as_array().expect("a list");
    let labels: Vec<_> = sentences.iter().map(|s| s["label"].as_str().expect("a label")).collect();
    assert_eq!(labels, ["POSITIVE", "POSITIVE", "NEGATIVE"]);
    for sentence in sentences {
        let (at, words) =
            (sentence["offset"].as_u64().expect("a number") as usize, sentence["text"].as_str().expect("text"));
        assert_eq!(&text[at..at + words.len()], words);
    }
    assert_eq!(result["sentence_count"], 3);
    let keys: Vec<_> = result.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["method", "language", "sentences", "label", "scores", "compound", "sentence_count"]);
    let finding = report.finding.expect("a finding");
    assert_eq!(finding.label, result["label"].as_str().expect("a label"));
    assert_eq!(report.summary["label"], result["label"]);
    let names: Vec<_> = finding.values.keys().map(String::as_str).collect();
    assert_eq!(names, ["compound", "mixed", "negative", "neutral", "positive", "sentences"]);
    assert_eq!(finding.values["positive"], result["scores"]["positive"].as_f64().expect("a number"));

    let (short, same) = judged(&json!({ "sentences": false }), text);
    assert!(short.get("sentences").is_none() && short["scores"] == result["scores"] && short["sentence_count"] == 3);
    assert_eq!(same.finding, Some(finding));
}

#[test]
fn a_document_is_what_its_sentences_are_by_their_length() {
    for (text, label) in [
        ("I love this. It is wonderful.", "POSITIVE"),
        ("I hate this. It is horrible.", "NEGATIVE"),
        ("The box is blue. It weighs two kilos.", "NEUTRAL"),
        ("I love this, it is wonderful. I hate that, it is horrible.", "MIXED"),
        ("The food was great. The service was horrible.", "MIXED"),
        // one word of blame in much praise is no mixture
        ("I love this, it is wonderful and great. Superb and lovely and perfect. The lid is bad.", "POSITIVE"),
    ] {
        assert_eq!(label_of(text), label, "{text}");
    }
    let mut mean = Mean::default();
    mean.add(&Scores::of_shares(0.6, 0.0, 0.8), 30);
    mean.add(&Scores::of_shares(0.0, 0.4, -0.4), 10);
    let scores = mean.scores();
    assert_eq!(scores, Scores { positive: 0.35, negative: 0.0, neutral: 0.45, mixed: 0.2, compound: 0.5 });
    assert_eq!(scores.label(), provider::Label::Positive);
    // what is mixed in a sentence weighs on both sides of the document
    let mut mean = Mean::default();
    mean.add(&Scores::of_shares(0.4, 0.2, 0.2), 10);
    mean.add(&Scores::of_shares(0.0, 0.2, -0.4), 10);
    assert_eq!(mean.scores(), Scores { positive: 0.0, negative: 0.0, neutral: 0.6, mixed: 0.4, compound: -0.1 });
    // shares that rounding took beyond the whole
    let scores = Scores::of_shares(0.7, 0.300_000_4, 0.0);
    assert_eq!((scores.positive, scores.neutral, scores.mixed), (0.4, 0.0, 0.6));
}

#[test]
fn a_label_follows_from_the_scores_at_every_threshold() {
    use provider::Label::{Mixed, Negative, Neutral, Positive};
    for (positive, negative, compound, label) in [
        (0.3, 0.0, COMPOUND_MIN, Positive),
        (0.3, 0.0, COMPOUND_MIN - 0.001, Neutral),
        (0.0, 0.3, -COMPOUND_MIN, Negative),
        (0.0, 0.3, 0.001 - COMPOUND_MIN, Neutral),
        (0.1, MIXED_MIN / 2.0, 0.9, Mixed),
        (0.1, MIXED_MIN / 2.0 - 0.001, 0.9, Positive),
        (0.2, 0.1, 0.9, Mixed),
        (0.201, 0.1, 0.9, Positive),
        (0.1, 0.2, -0.9, Mixed),
        (0.5, 0.5, 0.0, Mixed),
    ] {
        assert_eq!(Scores::of_shares(positive, negative, compound).label(), label, "{positive} {negative} {compound}");
    }
}

#[test]
fn markdown_counts_without_its_markup() {
    let text = "\u{feff}# A *wonderful* title\n\n- I **love** it. It\n  is [great](http://horrible.example/bad)!\n\n\
        ```\nhorrible bad code\n```\n\n<div>horrible</div>\n\n| awful | nice |\n|---|---|\n| x | y |\n";
    let (result, _) = judged(&json!({ "format": "markdown" }), text);
    let sentences = result["sentences"].as_array().expect("a list");
    let found: Vec<_> = sentences.iter().map(|s| s["text"].as_str().expect("text")).collect();
    assert_eq!(found, ["A wonderful title", "I love it.", "It is great!", "awful", "nice", "x", "y"]);
    for (sentence, begins) in sentences.iter().zip(["A *wonderful*", "I **love**", "It\n", "awful", "nice", "x", "y"]) {
        let at = sentence["offset"].as_u64().expect("a number") as usize;
        assert!(text[at..].starts_with(begins), "{begins}: {}", &text[at..]);
    }
    assert_eq!(judged(&json!({ "format": "markdown" }), "").0["label"], "NEUTRAL");
}

#[test]
fn other_languages_are_refused_in_words() {
    let options = json!({ "language": "de" });
    let error = TextSentiment.prepare(options.as_object().expect("an object")).map(drop).expect_err("refused");
    assert!(error.contains("language") && error.contains("de") && error.contains("English"), "{error}");
}

#[test]
fn bytes_that_are_no_utf8_are_named() {
    for format in ["text", "markdown"] {
        let transform = suite::prepared(&TextSentiment, &json!({ "format": format }));
        let error = suite::whole(&*transform, b"Good. \xffBad.").expect_err("refused");
        assert!(error.to_string().contains("offset 6 "), "{error}");
    }
}

/// Blocks that are read end anywhere in a sentence; the result is as if the whole text were in view.
#[test]
fn sentences_across_blocks_are_whole() {
    let text: String = (0..20_000)
        .map(|i| format!("Word{i} é, {} Mr. X is good{}", "so ".repeat(i % 17), [". ", "!\n", "?\n\n", " "][i % 4]))
        .collect();
    assert!(text.len() > 3 * filemill_core::limits::IO_BLOCK_BYTES);
    let (result, _) = judged(&json!({}), &text);
    let mut rest = text.trim_start();
    for sentence in result["sentences"].as_array().expect("a list") {
        let (expected, behind) = rest.split_at(sentences::sentence_bytes(rest));
        assert_eq!(sentence["text"], expected.trim_end());
        assert_eq!(sentence["offset"], text.len() - rest.len());
        rest = behind.trim_start();
    }
    assert_eq!(rest, "");
}

/// A text many times larger than any buffer, and a sentence that never ends.
#[test]
fn any_size_passes_in_constant_memory() {
    struct Endless<'a>(std::iter::Take<std::iter::Cycle<std::slice::Iter<'a, u8>>>);
    impl Read for Endless<'_> {
        fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
            let read = buf.iter_mut().zip(&mut self.0).map(|(to, from)| *to = *from).count();
            Ok(read)
        }
    }
    for unit in ["I love this phone, but it is slow. ", "never ends ", "x", "é"] {
        let bytes = 2 << 20;
        let transform = suite::prepared(&TextSentiment, &json!({}));
        let mut input = Endless(unit.as_bytes().iter().cycle().take(bytes / unit.len() * unit.len()));
        let mut output = suite::Discard(0);
        let mut none = NoRejects;
        let held = allocation_counter::measure(|| {
            let facts = InputFacts { key: "input", size: u64::MAX, content_type: None, etag: None };
            let mut work = Work {
                input: &mut input,
                output: &mut output,
                rejects: &mut none,
                sources: &suite::Shelf::default(),
                pulse: &suite::Calm,
            };
            transform.process(&Chunk::whole(facts), &mut work).expect("a result");
        });
        assert!(held.bytes_max < 1 << 20, "{unit}: {} bytes", held.bytes_max);
        assert!(output.0 > bytes as u64, "{unit}");
    }
}

struct NoRejects;

impl filemill_core::ports::RejectSink for NoRejects {
    fn reject(&mut self, _: &filemill_core::reject::Reject<'_>) -> std::io::Result<()> {
        unreachable!("nothing is rejected here")
    }
}

suite::processor_suite! {
    processor: TextSentiment,
    options: [json!({}), json!({ "format": "markdown" }), json!({ "sentences": false })],
    pieces: ["good", " ", "BAD", "!", "?", ". ", "\n", "\n\n", " but ", "not ", "😁", "…", "\u{a0}", "*", "`", "- ", "[a](b)", "\0", "\u{feff}"],
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(
        &[
            "good", "bad", "GREAT", "awful", "but", "not", "very", "the", "no", "least", ":)", "😁", "👎", "!", "??",
            ".", "\n\n", "ok",
        ][..],
    );
    proptest::collection::vec(word, 0..40).prop_map(|words| words.join(" "))
}

fn holds(scores: &Value, label: &Value, compound: &Value) {
    let part = |name: &str| scores[name].as_f64().expect("a number");
    let parts = ["positive", "negative", "neutral", "mixed"].map(part);
    let compound = compound.as_f64().expect("a number");
    assert!((parts.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{parts:?}");
    assert!(parts.iter().all(|p| (0.0..=1.0).contains(p)) && (-1.0..=1.0).contains(&compound), "{parts:?} {compound}");
    // from what is written anybody can tell the label again
    let [positive, negative, neutral, mixed] = parts;
    let again = Scores { positive, negative, neutral, mixed, compound }.label();
    assert_eq!(again.as_str(), label.as_str().expect("a label"));
}

proptest! {
    #[test]
    fn scores_sum_to_one_and_labels_follow_from_them(text in prop_oneof![words(), "\\PC{0,200}", any::<String>()]) {
        for format in ["text", "markdown"] {
            let (result, report) = judged(&json!({ "format": format }), &text);
            holds(&result["scores"], &result["label"], &result["compound"]);
            for sentence in result["sentences"].as_array().expect("a list") {
                holds(&sentence["scores"], &sentence["label"], &sentence["compound"]);
                let words = sentence["text"].as_str().expect("text");
                prop_assert!(!words.is_empty() && words.trim() == words);
                let at = sentence["offset"].as_u64().expect("a number") as usize;
                prop_assert!(format == "markdown" || text[at..].starts_with(words));
            }
            prop_assert!(report.finding.expect("a finding").values.values().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn every_word_of_a_text_is_in_one_sentence(text in prop_oneof![words(), "\\PC{0,200}"]) {
        let (result, _) = judged(&json!({}), &text);
        let sentences = result["sentences"].as_array().expect("a list").iter();
        let kept: String = sentences.map(|s| s["text"].as_str().expect("text")).collect();
        let visible = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        prop_assert_eq!(visible(&kept), visible(text.trim_start_matches('\u{feff}')));
    }
}
