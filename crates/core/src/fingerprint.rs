//! Errors that probably have one cause share a fingerprint: what differs from case to case (numbers, ids, quoted names,
//! paths) is left out of it.

use crate::task::TaskError;
use sha2::{Digest, Sha256};

/// Twelve hexadecimal digits over processor, code and the shape of the message.
pub fn fingerprint(processor: &str, error: &TaskError) -> String {
    let mut hash = Sha256::new();
    for part in [processor, &error.code, &shape(&error.message)] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hex::encode(&hash.finalize()[..6])
}

/// The message with a `#` for each word that holds a digit or a slash, and for each quoted text.
fn shape(message: &str) -> String {
    let mut words = Vec::new();
    let mut rest = message;
    while let Some((start, end)) = first_quoted(rest) {
        words.extend(rest[..start].split_whitespace().map(word_shape));
        words.push("#");
        rest = &rest[end..];
    }
    words.extend(rest.split_whitespace().map(word_shape));
    words.join(" ")
}

fn word_shape(word: &str) -> &str {
    if word.contains(|c: char| c.is_ascii_digit() || c == '/') { "#" } else { word }
}

/// The bytes of the first text in double quotes, quotes included; `\"` does not end it.
fn first_quoted(text: &str) -> Option<(usize, usize)> {
    let start = text.find('"')?;
    let mut escaped = false;
    for (at, c) in text[start + 1..].char_indices() {
        match c {
            '"' if !escaped => return Some((start, start + 1 + at + 1)),
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(message: &str) -> String {
        fingerprint("exec", &TaskError::transient("store_unavailable", message))
    }

    #[test]
    fn what_differs_from_case_to_case_does_not_count() {
        assert_eq!(of("row 12, byte 99: not UTF-8"), of("row 7, byte 100212: not UTF-8"));
        assert_eq!(of("no answer from 10.0.0.1:80 after 5s"), of("no answer from 10.0.0.22:80 after 30s"));
        assert_eq!(of(r#"there is no "a b.txt" any more"#), of(r#"there is no "c \"d\".txt" any more"#));
        assert_eq!(of("cannot read uploads/a.csv"), of("cannot read uploads/x/ü.csv"));
    }

    #[test]
    fn what_tells_causes_apart_counts() {
        assert_ne!(of("the connection was refused"), of("the connection was reset"));
        assert_ne!(of(r#"bad "quote"#), of("bad quote"));
        let other = fingerprint("http", &TaskError::transient("store_unavailable", "x"));
        assert_ne!(other, of("x"));
        assert_eq!(other.len(), 12);
    }
}
