//! Forms into parameters, strictly: what a lenient reader would guess at is refused, and nothing is given twice.

use crate::sqs::errors::Refusal;
use percent_encoding::percent_decode;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A batch of ten messages with ten attributes each has 500.
const PARAMETERS_MAX: usize = 1000;

pub fn parse(query: &[u8], body: &[u8]) -> Result<BTreeMap<String, String>, Refusal> {
    let mut given = BTreeMap::new();
    for text in [query, body] {
        check(text)?;
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_bytes(text).map_err(|e| Refusal::malformed_form(format!("The form: {e}.")))?;
        for (name, value) in pairs {
            match given.entry(name) {
                Entry::Vacant(free) => free.insert(value),
                Entry::Occupied(taken) => {
                    return Err(Refusal::malformed_form(format!("{:?} is given twice.", shown(taken.key()))));
                }
            };
        }
    }
    Ok(given)
}

/// The parser takes a broken escape as it stands and puts U+FFFD where bytes are not UTF-8: a message would be another one.
fn check(text: &[u8]) -> Result<(), Refusal> {
    if text.split(|b| *b == b'&').count() > PARAMETERS_MAX {
        return Err(Refusal::malformed_form(format!("A form has at most {PARAMETERS_MAX} parameters.")));
    }
    let is_escape = |at: usize| text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if let Some(at) = memchr::memchr_iter(b'%', text).find(|at| !is_escape(*at)) {
        return Err(Refusal::malformed_form(format!("The form has a % without two hexadecimal digits at byte {at}.")));
    }
    match percent_decode(text).decode_utf8() {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::malformed_form("The form is not UTF-8.")),
    }
}

pub fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_from_url_and_body() {
        let given = parse(b"Action=A&x=%2B+%26", "b=\u{e9}%C3%A9&c=&d".as_bytes()).expect("good");
        let pairs: Vec<_> = given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("Action", "A"), ("b", "éé"), ("c", ""), ("d", ""), ("x", "+ &")]);
    }

    #[test]
    fn what_would_have_to_be_guessed_is_refused() {
        for bad in ["a=%", "a=%4", "a=%4g", "%zz=1", "a=%ff", "a=%c3&b=%a9", "a=1&a=2", "a=%ED%A0%80", "a&%61"] {
            assert!(parse(b"", bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"", b"a=\xff").is_err());
        assert!(parse(b"a=1", b"a=1").is_err());
        let many = |count: usize| (0..count).map(|n| format!("p{n}=")).collect::<Vec<_>>().join("&");
        assert!(parse(b"", many(PARAMETERS_MAX).as_bytes()).is_ok());
        assert!(parse(b"", many(PARAMETERS_MAX + 1).as_bytes()).is_err());
    }
}
