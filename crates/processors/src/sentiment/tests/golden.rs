//! Proof that the rules are those of vaderSentiment 3.3.2: the same compound score to four decimals, on sentences that
//! are put together from everything that the rules look at.
//!
//! Needs python3 with vaderSentiment; skipped loudly without, which is a failure with `FILEMILL_TEST_ALL=1`.

use crate::sentiment::provider::SentimentProvider;
use crate::sentiment::vader::Vader;
use crate::sentiment::words::Words;
use std::io::Write;
use std::process::{Command, Stdio};

/// Adds plainly: `sum` of newer Pythons compensates for rounding, and 0.1 is then no longer left of what cancels out.
const REFERENCE: &str = "
import sys
import vaderSentiment.vaderSentiment as v
def plain(values):
    total = 0.0
    for value in values:
        total += value
    return total
v.sum = plain
analyzer = v.SentimentIntensityAnalyzer()
sys.stdin.reconfigure(encoding='utf-8', newline='\\n')
for line in sys.stdin:
    scores = analyzer.polarity_scores(line[:-1])
    print('%.4f %.3f %.3f %.3f' % (scores['compound'], scores['pos'], scores['neg'], scores['neu']))
";

/// Compound, positive, negative and neutral of each sentence, as the reference has them.
fn reference(sentences: &[String]) -> Option<Vec<[f64; 4]>> {
    let mut python = Command::new("python3");
    python.args(["-c", REFERENCE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = python.spawn().ok()?;
    let mut input = child.stdin.take().expect("it is piped");
    let text: String = sentences.iter().map(|sentence| format!("{sentence}\n")).collect();
    let writer = std::thread::spawn(move || {
        let _gone_if_it_is_not_installed = input.write_all(text.as_bytes());
    });
    let output = child.wait_with_output().expect("it was started");
    writer.join().expect("writing does not panic");
    let numbers = |line: &str| {
        let numbers: Vec<f64> = line.split(' ').map(|n| n.parse().expect("a number")).collect();
        <[f64; 4]>::try_from(numbers).expect("four numbers")
    };
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).lines().map(numbers).collect())
}

fn skip(why: &str) {
    let must_run = std::env::var_os("FILEMILL_TEST_ALL").is_some_and(|v| v == "1");
    assert!(!must_run, "the comparison with vaderSentiment cannot run: {why}");
    let _no_one_reads = writeln!(std::io::stderr(), "SKIPPED: the comparison with vaderSentiment: {why}");
}

struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}

#[rustfmt::skip]
const SPICE: [&str; 70] = [
    "but", "But", "BUT", "no", "No", "not", "never", "so", "this", "without", "doubt", "least", "at", "very", "VERY",
    "or", "nor", "kind", "of", "sort", "kinda", "just enough", "kind of", "sort of", "the shit", "the bomb", "bad ass",
    "bus stop", "yeah right", "kiss of death", "to die for", "beating heart", "heart", "hearts", "isn't", "ISN'T",
    "don't", "weren't", "dont", "hardly", "extremely", "EXTREMELY", "uber", "friggin", "despite", "rarely", "the", "a",
    "movie", "I", "it", "and", "😁", "💘", "❤️", "👎good", "x😂y", "(and)", "naïve", "STRAẞE", "can't stand", "café",
    "no harm or", "no pain nor", "without doubt", "without any doubt", "at least", "the very least", "the least", "never this",
];

#[rustfmt::skip]
const MARKS: [&str; 14] = ["", "", "", "", "!", "!!!", "!!!!!!", "?", "??", "????", "...", ",", ":)", "\u{1c}"];

/// Words of the lexicon, boosters and negations in any case, with everything that rules name between them.
fn sentence(chance: &mut Chance, known: &[&str]) -> String {
    let mut sentence = String::new();
    for _ in 0..1 + chance.below(12) {
        let word = if chance.below(5) < 3 { chance.of(known).to_owned() } else { chance.of(&SPICE).to_owned() };
        let word = match chance.below(8) {
            0 => word.to_uppercase(),
            1 => format!("\"{word}\""),
            2 => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
            _ => word,
        };
        sentence.push_str(&word);
        sentence.push_str(chance.of(&MARKS));
        sentence.push_str(chance.of(&[" ", " ", " ", "  ", "\t", "\u{a0}"]));
    }
    sentence
}

#[test]
fn scores_are_those_of_the_reference() {
    let mut known: Vec<&str> = Words::load().lexicon().map(|(text, _)| text).filter(|text| text.is_ascii()).collect();
    known.sort_unstable();
    let mut chance = Chance(2014);
    let mut sentences: Vec<String> = (0..5000).map(|_| sentence(&mut chance, &known)).collect();
    // every word of the table alone, and under a negation
    sentences.extend(known.iter().map(|word| format!("It is {word}")));
    sentences.extend(known.iter().map(|word| format!("never so {word}!")));
    let Some(expected) = reference(&sentences) else { return skip("python3 has no module vaderSentiment") };
    assert_eq!(expected.len(), sentences.len());
    let mut vader = Vader::new();
    let mut wrong = Vec::new();
    for (sentence, [compound, positive, negative, neutral]) in sentences.iter().zip(expected) {
        let found = vader.score(sentence).expect("a lexicon has no faults");
        let (up, down) = (found.positive + found.mixed / 2.0, found.negative + found.mixed / 2.0);
        let is_same = (found.compound - compound).abs() < 5e-5
            && (up - positive).abs() < 6e-4
            && (down - negative).abs() < 6e-4
            // without words the reference has no shares at all
            && ((found.neutral - neutral).abs() < 6e-4 || sentence.trim().is_empty());
        if !is_same {
            wrong.push(format!("{sentence:?}: {found:?}, but {compound} {positive} {negative} {neutral}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} differ:\n{}",
        wrong.len(),
        sentences.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
}
