//! A rule's key patterns as an automaton that reads a key character by character.
//!
//! The same answers as [`Pattern::matches`](crate::matching::Pattern::matches) gives for the whole key; a test compares
//! them. Sizes and content types are not looked at.

use crate::matching::KeyPattern;

#[derive(Debug)]
pub struct KeyAutomaton {
    /// ORed; none takes every key.
    alternatives: Vec<Vec<Condition>>,
}

/// Where each condition stands.
pub type State = Vec<Vec<bool>>;

/// A text with wildcards that the whole key must fit, or must not.
#[derive(Debug)]
struct Condition {
    tokens: Vec<Token>,
    negated: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// One character, not a slash.
    One,
    /// Any run without a slash.
    Run,
    /// Any run.
    Rest,
}

impl KeyAutomaton {
    pub fn new(patterns: &[KeyPattern]) -> Self {
        KeyAutomaton { alternatives: patterns.iter().map(conditions).collect() }
    }

    pub fn start(&self) -> State {
        self.conditions().map(|condition| condition.closed(vec![(0, true)])).collect()
    }

    pub fn step(&self, state: &State, next: char) -> State {
        self.conditions().zip(state).map(|(condition, reached)| condition.step(reached, next)).collect()
    }

    pub fn steps(&self, state: &State, text: &str) -> State {
        text.chars().fold(state.clone(), |state, next| self.step(&state, next))
    }

    pub fn accepts(&self, state: &State) -> bool {
        let mut rest = state.as_slice();
        let mut hits = self.alternatives.is_empty();
        for alternative in &self.alternatives {
            let (own, behind) = rest.split_at(alternative.len());
            hits |= alternative.iter().zip(own).all(|(condition, reached)| condition.holds(reached));
            rest = behind;
        }
        hits
    }

    /// The characters that it tells apart from others.
    pub fn letters(&self) -> impl Iterator<Item = char> + '_ {
        self.conditions().flat_map(|condition| &condition.tokens).filter_map(|token| match token {
            Token::Char(letter) => Some(*letter),
            Token::One | Token::Run | Token::Rest => None,
        })
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.alternatives.iter().flatten()
    }
}

impl Condition {
    /// `reached[i]`: what was read can end before token `i`.
    fn step(&self, reached: &[bool], next: char) -> Vec<bool> {
        let moved = self.tokens.iter().enumerate().filter(|(i, _)| reached[*i]).filter_map(|(i, token)| match token {
            Token::Char(letter) => (*letter == next).then_some((i + 1, true)),
            Token::One => (next != '/').then_some((i + 1, true)),
            Token::Run => (next != '/').then_some((i, true)),
            Token::Rest => Some((i, true)),
        });
        self.closed(moved.collect())
    }

    /// A run may be empty.
    fn closed(&self, places: Vec<(usize, bool)>) -> Vec<bool> {
        let mut reached = vec![false; self.tokens.len() + 1];
        for (place, is_reached) in places {
            reached[place] |= is_reached;
        }
        for (i, token) in self.tokens.iter().enumerate() {
            if reached[i] && matches!(token, Token::Run | Token::Rest) {
                reached[i + 1] = true;
            }
        }
        reached
    }

    fn holds(&self, reached: &[bool]) -> bool {
        reached[self.tokens.len()] != self.negated
    }
}

fn conditions(pattern: &KeyPattern) -> Vec<Condition> {
    let KeyPattern { prefix, suffix, equals, glob, not_prefix, not_suffix } = pattern;
    let chars = |text: &str| text.chars().map(Token::Char).collect::<Vec<_>>();
    let starts = |text: &String| [chars(text), vec![Token::Rest]].concat();
    let ends = |text: &String| [vec![Token::Rest], chars(text)].concat();
    let wanted = [
        prefix.as_ref().map(starts),
        suffix.as_ref().map(ends),
        equals.as_ref().map(|text| chars(text)),
        glob.as_ref().map(|text| tokens_of_glob(text)),
    ];
    let unwanted = [not_prefix.as_ref().map(starts), not_suffix.as_ref().map(ends)];
    let wanted = wanted.into_iter().flatten().map(|tokens| Condition { tokens, negated: false });
    wanted.chain(unwanted.into_iter().flatten().map(|tokens| Condition { tokens, negated: true })).collect()
}

fn tokens_of_glob(glob: &str) -> Vec<Token> {
    let mut letters = glob.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(letter) = letters.next() {
        tokens.push(match letter {
            '*' if letters.next_if_eq(&'*').is_some() => Token::Rest,
            '*' => Token::Run,
            '?' => Token::One,
            letter => Token::Char(letter),
        });
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::{Pattern, Subject};
    use proptest::prelude::*;

    fn some_text() -> impl Strategy<Value = Option<String>> {
        prop_oneof![3 => Just(None), 1 => "[ab/.*?]{0,4}".prop_map(Some)]
    }

    fn some_pattern() -> impl Strategy<Value = KeyPattern> {
        let texts = (some_text(), some_text(), some_text(), some_text(), some_text(), some_text());
        texts.prop_map(|(prefix, suffix, equals, glob, not_prefix, not_suffix)| KeyPattern {
            prefix,
            suffix,
            equals,
            glob,
            not_prefix,
            not_suffix,
        })
    }

    proptest! {
        #[test]
        fn it_takes_what_the_pattern_takes(key in prop::collection::vec(some_pattern(), 0..3), text in "[ab/.]{0,8}") {
            let automaton = KeyAutomaton::new(&key);
            let pattern = Pattern { key, ..Pattern::default() };
            let expected = pattern.matches(Subject { key: &text, size: 0, content_type: None });
            prop_assert_eq!(automaton.accepts(&automaton.steps(&automaton.start(), &text)), expected);
        }
    }
}
