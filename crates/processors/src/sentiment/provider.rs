//! Who says how a sentence sounds: the trait that a lexicon, a model or a service implements, and what it answers with.
//!
//! Scores are rounded to what is written of them, so a label can be told again from the numbers in a result.

use filemill_core::ports::ProcessError;
use std::collections::BTreeMap;

/// One per run, so it may keep buffers between sentences.
pub trait SentimentProvider {
    /// Names the method and its version in results.
    fn method(&self) -> &'static str;
    /// `sentence` has at most [`super::sentences::SENTENCE_BYTES_MAX`] bytes.
    fn score(&mut self, sentence: &str) -> Result<Scores, ProcessError>;
}

/// Below it a mixture is an undertone. In `mixed`, which counts both sides: each has at least 5 % of the text.
pub const MIXED_MIN: f64 = 0.1;
/// From here on, in either direction, a text is not neutral: the threshold that VADER's authors give.
pub const COMPOUND_MIN: f64 = 0.05;

/// `positive`, `negative`, `neutral` and `mixed` are shares of the text, with a sum of 1. `mixed` is what positive and
/// negative parts have against each other in equal amounts; `positive` or `negative` is what is left of the stronger.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    pub positive: f64,
    pub negative: f64,
    pub neutral: f64,
    pub mixed: f64,
    /// From -1 (most negative) to 1: how strong it is, all in all.
    pub compound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Positive,
    Negative,
    Neutral,
    Mixed,
}

impl Label {
    pub fn as_str(self) -> &'static str {
        match self {
            Label::Positive => "POSITIVE",
            Label::Negative => "NEGATIVE",
            Label::Neutral => "NEUTRAL",
            Label::Mixed => "MIXED",
        }
    }
}

impl Scores {
    /// Of a text without words.
    pub const NEUTRAL: Scores = Scores { positive: 0.0, negative: 0.0, neutral: 1.0, mixed: 0.0, compound: 0.0 };

    /// From the shares of positive and negative words, whose sum is at most 1.
    pub fn of_shares(positive: f64, negative: f64, compound: f64) -> Self {
        let weaker = positive.min(negative);
        let millionths = |share: f64| (share * 1e6).round() as i32;
        let mut parts = [millionths(positive - weaker), millionths(negative - weaker), millionths(2.0 * weaker)];
        // rounding up may take them beyond the whole by one or two; the largest gives it back
        let over = (parts.iter().sum::<i32>() - 1_000_000).max(0);
        if let Some(largest) = parts.iter_mut().max() {
            *largest -= over;
        }
        let neutral = 1_000_000 - parts.iter().sum::<i32>();
        let [positive, negative, mixed] = parts.map(|part| f64::from(part) / 1e6);
        let compound = (compound * 1e4).round() / 1e4;
        Scores { positive, negative, neutral: f64::from(neutral) / 1e6, mixed, compound }
    }

    /// MIXED where the weaker side has at least [`MIXED_MIN`] / 2 of the text and at least half of what the stronger has;
    /// else by the sign of a `compound` of at least [`COMPOUND_MIN`]; else NEUTRAL.
    pub fn label(&self) -> Label {
        if self.mixed >= MIXED_MIN && self.positive.max(self.negative) <= self.mixed / 2.0 {
            Label::Mixed
        } else if self.compound >= COMPOUND_MIN {
            Label::Positive
        } else if self.compound <= -COMPOUND_MIN {
            Label::Negative
        } else {
            Label::Neutral
        }
    }

    pub fn values(&self) -> BTreeMap<String, f64> {
        let named = [
            ("positive", self.positive),
            ("negative", self.negative),
            ("neutral", self.neutral),
            ("mixed", self.mixed),
            ("compound", self.compound),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

/// A document's scores: the mean of its sentences', each weighted by its length in bytes, with positive and negative
/// parts set against each other anew. So a document of praise and blame in turn is mixed, though no sentence is.
#[derive(Debug, Default)]
pub struct Mean {
    weight: f64,
    positive: f64,
    negative: f64,
    compound: f64,
    pub sentences: u64,
}

impl Mean {
    pub fn add(&mut self, scores: &Scores, bytes: usize) {
        let weight = bytes as f64;
        self.weight += weight;
        self.positive += weight * (scores.positive + scores.mixed / 2.0);
        self.negative += weight * (scores.negative + scores.mixed / 2.0);
        self.compound += weight * scores.compound;
        self.sentences += 1;
    }

    pub fn scores(&self) -> Scores {
        if self.sentences == 0 {
            return Scores::NEUTRAL;
        }
        Scores::of_shares(self.positive / self.weight, self.negative / self.weight, self.compound / self.weight)
    }
}
