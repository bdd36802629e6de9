//! The rules of VADER as vaderSentiment 3.3.2 has them, quirks included: the same compound score to four decimals.
//!
//! Hutto, C.J. and Gilbert, E.E.: VADER, a parsimonious rule-based model for sentiment analysis of social media text,
//! ICWSM 2014. English only; a sentence is judged by itself.

use super::provider::{Scores, SentimentProvider};
use super::words::{BOOST_OF_TWO, IDIOMS_OF_THREE, IDIOMS_OF_TWO, Role, WORD_BYTES_MAX, Word, Words};
use filemill_core::ports::ProcessError;

const CAPITALS: f64 = 0.733;
const NEGATION: f64 = -0.74;
const NEVER_SO: f64 = 1.25;
const EXCLAMATION: f64 = 0.292;
const EXCLAMATIONS_MAX: usize = 4;
const QUESTION: f64 = 0.18;
const QUESTIONS_MANY: f64 = 0.96;
const ALPHA: f64 = 15.0;

pub struct Vader {
    words: Words,
    tokens: Vec<Token>,
    /// Valences that are not 0, with the place of their token.
    valences: Vec<(usize, f64)>,
    /// The sentence with its emojis in words.
    spelled: String,
}

#[derive(Clone, Copy)]
struct Token {
    word: Word,
    is_upper: bool,
    /// It, or a contraction with "n't".
    negates: bool,
}

impl SentimentProvider for Vader {
    fn method(&self) -> &'static str {
        "vader-3.3.2"
    }

    fn score(&mut self, sentence: &str) -> Result<Scores, ProcessError> {
        Ok(self.judge(sentence))
    }
}

impl Vader {
    pub fn new() -> Self {
        Vader { words: Words::load(), tokens: Vec::new(), valences: Vec::new(), spelled: String::new() }
    }

    fn judge(&mut self, sentence: &str) -> Scores {
        self.tokens.clear();
        self.valences.clear();
        let emphasis = if sentence.is_ascii() {
            self.take_tokens(sentence);
            emphasis(sentence.as_bytes())
        } else {
            let mut spelled = std::mem::take(&mut self.spelled);
            self.spell_emojis(sentence, &mut spelled);
            self.take_tokens(&spelled);
            let emphasis = emphasis(spelled.as_bytes());
            self.spelled = spelled;
            emphasis
        };
        if self.tokens.is_empty() {
            return Scores::NEUTRAL;
        }
        let uppers = self.tokens.iter().filter(|token| token.is_upper).count();
        let capitals_stand_out = 0 < uppers && uppers < self.tokens.len();
        for at in 0..self.tokens.len() {
            let valence = self.valence(at, capitals_stand_out);
            if valence != 0.0 {
                self.valences.push((at, valence));
            }
        }
        self.weigh_but();
        self.total(emphasis)
    }

    /// Emojis become words, set off by spaces on the left only: what follows one directly sticks to it, as it does in
    /// the reference.
    fn spell_emojis(&self, sentence: &str, spelled: &mut String) {
        spelled.clear();
        let mut behind_space = true;
        for char in sentence.chars() {
            match self.words.emoji(char).filter(|_| !char.is_ascii()) {
                Some(meaning) => {
                    if !behind_space {
                        spelled.push(' ');
                    }
                    spelled.push_str(meaning);
                    behind_space = false;
                }
                None => {
                    spelled.push(char);
                    behind_space = char == ' ';
                }
            }
        }
    }

    fn take_tokens(&mut self, sentence: &str) {
        if sentence.is_ascii() {
            let pieces = sentence.as_bytes().split(|byte| matches!(byte, 9..=13 | 28..=32));
            for piece in pieces.filter(|piece| !piece.is_empty()) {
                self.tokens.push(ascii_token(&self.words, without_punctuation(piece)));
            }
            return;
        }
        let is_space = |char: char| char.is_whitespace() || matches!(char, '\u{1c}'..='\u{1f}');
        for piece in sentence.split(is_space).filter(|piece| !piece.is_empty()) {
            let stripped = piece.trim_matches(|char: char| char.is_ascii_punctuation());
            let kept = if stripped.chars().nth(2).is_none() { piece } else { stripped };
            let token =
                if kept.is_ascii() { ascii_token(&self.words, kept.as_bytes()) } else { any_token(&self.words, kept) };
            self.tokens.push(token);
        }
    }

    fn role(&self, at: usize) -> Role {
        self.tokens.get(at).map_or(Role::Other, |token| token.word.role)
    }

    /// Of the token `back` places before `at`.
    fn role_before(&self, at: usize, back: usize) -> Role {
        at.checked_sub(back).map_or(Role::Other, |place| self.role(place))
    }

    fn valence(&self, at: usize, capitals_stand_out: bool) -> f64 {
        let token = self.tokens[at];
        let Some(own) = token.word.valence else { return 0.0 };
        if token.word.boost != 0.0 || (token.word.role == Role::Kind && self.role(at + 1) == Role::Of) {
            return 0.0;
        }
        let mut valence = self.under_no(at, own);
        if token.is_upper && capitals_stand_out {
            valence += if valence > 0.0 { CAPITALS } else { -CAPITALS };
        }
        for back in 1..=3.min(at) {
            let before = self.tokens[at - back];
            if before.word.valence.is_some() {
                continue;
            }
            valence += boost(before, valence, capitals_stand_out) * [1.0, 0.95, 0.9][back - 1];
            valence = self.negated(valence, at, back);
            if back == 3 {
                valence = self.idioms(valence, at);
            }
        }
        self.under_least(valence, at)
    }

    /// "no" negates the lexicon's words behind it instead of standing for itself.
    fn under_no(&self, at: usize, own: f64) -> f64 {
        let is_no = self.role(at) == Role::No;
        let next_is_known = self.tokens.get(at + 1).is_some_and(|next| next.word.valence.is_some());
        let no_before = self.role_before(at, 1) == Role::No
            || self.role_before(at, 2) == Role::No
            || (self.role_before(at, 3) == Role::No && matches!(self.role_before(at, 1), Role::Or | Role::Nor));
        match () {
            () if no_before => own * NEGATION,
            () if is_no && next_is_known => 0.0,
            () => own,
        }
    }

    fn negated(&self, valence: f64, at: usize, back: usize) -> f64 {
        let so_or_this = |role: Role| matches!(role, Role::So | Role::This);
        let farthest = self.role_before(at, back);
        let (one, two) = (self.role_before(at, 1), self.role_before(at, 2));
        let (intensified, beyond_doubt) = match back {
            1 => (false, false),
            2 => (farthest == Role::Never && so_or_this(one), farthest == Role::Without && one == Role::Doubt),
            _ => (
                (farthest == Role::Never && so_or_this(two)) || so_or_this(one),
                farthest == Role::Without && (two == Role::Doubt || one == Role::Doubt),
            ),
        };
        match () {
            () if intensified => valence * NEVER_SO,
            () if beyond_doubt => valence,
            () if self.tokens[at - back].negates => valence * NEGATION,
            () => valence,
        }
    }

    /// Reached only where three tokens stand before.
    fn idioms(&self, mut valence: f64, at: usize) -> f64 {
        let [three, two, one, zero] = [3, 2, 1, 0].map(|back| self.role(at - back));
        let pair = |words: [Role; 2]| find(&IDIOMS_OF_TWO, words);
        let triple = |words: [Role; 3]| find(&IDIOMS_OF_THREE, words);
        let before = pair([one, zero])
            .or_else(|| triple([two, one, zero]))
            .or_else(|| pair([two, one]))
            .or_else(|| triple([three, two, one]))
            .or_else(|| pair([three, two]));
        let (next, next_but_one) = (self.role(at + 1), self.role(at + 2));
        for found in [before, pair([zero, next]), triple([zero, next, next_but_one])].into_iter().flatten() {
            valence = found;
        }
        for words in [[three, two], [two, one]] {
            valence += find(&BOOST_OF_TWO, words).unwrap_or(0.0);
        }
        valence
    }

    fn under_least(&self, valence: f64, at: usize) -> f64 {
        let is_least = self.role_before(at, 1) == Role::Least && self.tokens[at - 1].word.valence.is_none();
        let negates = is_least && !matches!(self.role_before(at, 2), Role::At | Role::Very);
        if negates { valence * NEGATION } else { valence }
    }

    /// What stands behind the first "but" counts more, what stands before it less. The reference finds a valence's place
    /// by its value, so of equal ones the first is changed; so it is here.
    fn weigh_but(&mut self) {
        let Some(but) = self.tokens.iter().position(|token| token.word.role == Role::But) else { return };
        for at in 0..self.valences.len() {
            let valence = self.valences[at].1;
            let first = self.valences.iter().position(|(_, v)| *v == valence).unwrap_or(at);
            let (place, changed) = &mut self.valences[first];
            match (*place).cmp(&but) {
                std::cmp::Ordering::Less => *changed = valence * 0.5,
                std::cmp::Ordering::Greater => *changed = valence * 1.5,
                std::cmp::Ordering::Equal => {}
            }
        }
    }

    fn total(&self, emphasis: f64) -> Scores {
        let (mut sum, mut positive, mut negative) = (0.0, 0.0, 0.0);
        let mut neutral = self.tokens.len() - self.valences.len();
        for (_, valence) in &self.valences {
            sum += valence;
            // a word weighs at least what a neutral one does
            match valence {
                v if *v > 0.0 => positive += v + 1.0,
                v if *v < 0.0 => negative += 1.0 - v,
                _ => neutral += 1,
            }
        }
        if sum > 0.0 {
            sum += emphasis;
        } else if sum < 0.0 {
            sum -= emphasis;
        }
        if positive > negative {
            positive += emphasis;
        } else if positive < negative {
            negative += emphasis;
        }
        let compound = (sum / (sum * sum + ALPHA).sqrt()).clamp(-1.0, 1.0);
        let total = positive + negative + neutral as f64;
        Scores::of_shares(positive / total, negative / total, compound)
    }
}

fn find<const N: usize>(list: &[([Role; N], f64)], words: [Role; N]) -> Option<f64> {
    list.iter().find(|(idiom, _)| *idiom == words).map(|(_, valence)| *valence)
}

fn boost(token: Token, valence: f64, capitals_stand_out: bool) -> f64 {
    let mut boost = token.word.boost;
    if boost == 0.0 {
        return 0.0;
    }
    if valence < 0.0 {
        boost = -boost;
    }
    if token.is_upper && capitals_stand_out {
        boost += if valence > 0.0 { CAPITALS } else { -CAPITALS };
    }
    boost
}

/// Up to four exclamation marks, and two or more question marks.
fn emphasis(sentence: &[u8]) -> f64 {
    let (mut exclamations, mut questions) = (0, 0);
    for byte in sentence {
        exclamations += usize::from(*byte == b'!');
        questions += usize::from(*byte == b'?');
    }
    let asked = match questions {
        0 | 1 => 0.0,
        2 | 3 => questions as f64 * QUESTION,
        _ => QUESTIONS_MANY,
    };
    exclamations.min(EXCLAMATIONS_MAX) as f64 * EXCLAMATION + asked
}

/// Where two characters or less would be left it is an emoticon, and stays.
fn without_punctuation(token: &[u8]) -> &[u8] {
    let is_inner = |byte: &u8| !byte.is_ascii_punctuation();
    let start = token.iter().position(is_inner).unwrap_or(token.len());
    let end = token.iter().rposition(is_inner).map_or(start, |last| last + 1);
    if end - start <= 2 { token } else { &token[start..end] }
}

fn ascii_token(words: &Words, token: &[u8]) -> Token {
    let is_upper = token.iter().any(u8::is_ascii_uppercase) && !token.iter().any(u8::is_ascii_lowercase);
    let mut lower = [0; WORD_BYTES_MAX];
    let word = match lower.get_mut(..token.len()) {
        Some(lower) => {
            lower.copy_from_slice(token);
            lower.make_ascii_lowercase();
            std::str::from_utf8(lower).map(|text| words.get(text)).unwrap_or_default()
        }
        None => Word::default(),
    };
    let is_contraction = || token.windows(3).any(|part| part.eq_ignore_ascii_case(b"n't"));
    let negates = word.negates || (memchr::memchr(b'\'', token).is_some() && is_contraction());
    Token { word, is_upper, negates }
}

fn any_token(words: &Words, token: &str) -> Token {
    let lower = token.to_lowercase();
    let word = words.get(&lower);
    // a letter with an upper, lower and title form counts as upper only in the first of them
    let is_title = |c: char| {
        matches!(c, '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}' | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}'
            | '\u{1fa8}'..='\u{1faf}' | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
    };
    let is_upper = token.chars().any(char::is_uppercase) && !token.chars().any(|c| c.is_lowercase() || is_title(c));
    Token { word, is_upper, negates: word.negates || lower.contains("n't") }
}
