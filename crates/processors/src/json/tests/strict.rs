//! What is JSON and what is not: we agree with serde_json, but for what is stated.

use super::*;
use crate::json::{JsonToCsv, JsonToJsonl, JsonlToJson};
use filemill_core::limits::{RECORD_BYTES_MAX, VALUE_BYTES_MAX};
use serde_json::json;
use std::time::{Duration, Instant};

/// `None`: accepted.
fn refused(input: &[u8]) -> Option<(String, String)> {
    run(&JsonToJsonl, json!({ "from": "lines" }), input).err()
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (input, code, says) in [
        (&b"{\"a\":1}\n\n{\"a\":NaN}"[..], "input_invalid", "record 2, line 3, byte 14: expected a value, found `N`"),
        (b"[-Infinity]", "input_invalid", "byte 2: this is no number"),
        (b"[1,]", "input_invalid", "expected a value, found `]`"),
        (b"{\"a\":1,}", "input_invalid", "expected a key in double quotes, found `}`"),
        (b"{'a':1}", "input_invalid", "expected a key in double quotes"),
        (b"{\"a\" 1}", "input_invalid", "expected `:` behind the key, found `1`"),
        (b"01", "input_invalid", "no number"),
        (b"1.", "input_invalid", "ends inside"),
        (b".5", "input_invalid", "expected a value"),
        (b"+1", "input_invalid", "expected a value"),
        (b"1e", "input_invalid", "ends inside"),
        (b"-", "input_invalid", "ends inside"),
        (b"0x10", "input_invalid", "no number"),
        (b"tru", "input_invalid", "ends inside"),
        (b"trux", "input_invalid", "expected true, false or null"),
        (b"nulll", "input_invalid", "expected the end of the record, found `l`"),
        (b"{} {}", "input_invalid", "byte 3: expected the end of the record, found `{`"),
        (b"// c\n{}", "input_invalid", "expected a value, found `/`"),
        (b"\"a\tb\"", "input_invalid", "the byte 0x09 inside of a string must be escaped"),
        (b"\"\\x\"", "input_invalid", "no such escape"),
        (b"\"\\u12g4\"", "input_invalid", "no such escape"),
        (b"\"\\ud800\"", "input_invalid", "half of a surrogate pair"),
        (b"\"\\ud800\\n\"", "input_invalid", "half of a surrogate pair"),
        (b"\"\\ud800\\u0041\"", "input_invalid", "half of a surrogate pair"),
        (b"\"\\udc00\"", "input_invalid", "half of a surrogate pair"),
        (b"{\"a\":1,\"b\":{\"a\":2},\"a\":3}", "input_invalid", "byte 19: the key \"a\" comes twice in one object"),
        (b"{\"a\":1,\"\\u0061\":3}", "input_invalid", "comes twice"),
        (b"\"a\xffb\"", "input_encoding", "byte 2: these bytes are not UTF-8"),
        (b"\xff\xfe{\0", "input_encoding", "byte 0: these bytes are not UTF-8"),
        (b"\"\xed\xa0\x80\"", "input_encoding", "not UTF-8"),
        (b"1\x0c", "input_invalid", "found the byte 0x0c"),
        (b"{\"a\":1", "input_invalid", "ends inside of a value (each line is read as a record of its own"),
        (b"1\n\xef\xbb\xbf2", "input_invalid", "line 2, byte 2: expected a value"),
    ] {
        let (found, words) = refused(input).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(input)));
        assert!(words.contains(says), "{}: {words}", String::from_utf8_lossy(input));
        assert_eq!(found, code, "{words}");
    }
}

#[test]
fn arrays_end_where_they_are_wrong() {
    for (input, says) in [
        ("[1,2", "the file ends inside of the array"),
        ("[1,2,", "the file ends inside of the array"),
        ("[", "the file ends inside of the array"),
        ("[1,\n\"a", "record 2, line 2, byte 6: the JSON ends inside of a value"),
        ("[1,]", "a comma stands before the end of the array"),
        ("[,1]", "record 1, line 1, byte 1: expected a value, found `,`"),
        ("[1 2]", "expected `,` or `]` behind an element, found `2`"),
        ("[1],", "line 1, byte 3: expected the end of the file, found `,` (the input is read as one array"),
        ("[1,2]\n[3,4]", "line 2, byte 6: expected the end of the file, found `[`"),
        ("[{\"a\":1,\n\"a\":2}]", "record 1, line 2, byte 9: the key \"a\" comes twice"),
    ] {
        for options in [json!({}), json!({ "from": "array" })] {
            let words = run(&JsonToJsonl, options, input.as_bytes()).expect_err(input).1;
            assert!(words.contains(says), "{input}: {words}");
        }
    }
    for (input, says) in
        [("", "there is no JSON in it"), (" \n", "line 2, byte 2: there is no JSON"), ("5", "expected `[` or `{`")]
    {
        let words = run(&JsonToJsonl, json!({ "from": "array" }), input.as_bytes()).expect_err(input).1;
        assert!(words.contains(says), "{input}: {words}");
    }
}

#[test]
fn deep_nesting_ends_at_once() {
    let levels = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(refused(levels(128).as_bytes()).is_none());
    assert_eq!(refused(levels(129).as_bytes()).expect("refused").0, "input_too_large");
    let objects = "{\"a\":".repeat(100_000);
    for input in [levels(100_000), "[".repeat(100_000), objects] {
        for processor in [&JsonToCsv as &dyn Processor, &JsonToJsonl, &JsonlToJson] {
            let began = Instant::now();
            let (code, words) = run(processor, json!({}), input.as_bytes()).expect_err("refused");
            assert_eq!((code.as_str(), words.contains("deeper than 128")), ("input_too_large", true), "{words}");
            assert!(began.elapsed() < Duration::from_secs(1));
        }
    }
}

#[test]
fn long_values_and_records_are_refused_at_their_limits() {
    let text = |n: usize| format!("\"{}\"", "x".repeat(n));
    assert!(refused(text(VALUE_BYTES_MAX).as_bytes()).is_none());
    assert_eq!(refused(text(VALUE_BYTES_MAX + 1).as_bytes()).expect("refused").0, "input_too_large");
    // the array that makes up a record of this length, with the outer one
    let record = |n: usize| format!("[{}]", "1,".repeat((n - 3) / 2) + "1");
    let longest = record(RECORD_BYTES_MAX - 1);
    let too_long = record(RECORD_BYTES_MAX + 1);
    assert!(refused(longest.as_bytes()).is_none());
    let (code, words) = refused(format!("1\n{too_long}").as_bytes()).expect("refused");
    assert_eq!((code.as_str(), words.starts_with("record 2, line 2, byte 2: ")), ("input_too_large", true), "{words}");
    let (code, words) = run(&JsonToJsonl, json!({}), format!("[1,\n{too_long}]").as_bytes()).expect_err("refused");
    assert_eq!((code.as_str(), words.starts_with("record 2, line 2, byte 4: ")), ("input_too_large", true), "{words}");
    assert!(run(&JsonToJsonl, json!({}), format!("[1,\n{longest}]").as_bytes()).is_ok());
}

#[test]
fn a_key_that_comes_twice_among_many_is_found() {
    for twin in [0, 40, 998] {
        let mut keys: Vec<_> = (0..1000).map(|n| format!("\"key{n}\":{n}")).collect();
        assert!(refused(format!("{{{}}}", keys.join(",")).as_bytes()).is_none());
        keys.push(format!("\"key{twin}\":0"));
        let words = refused(format!("{{{}}}", keys.join(",")).as_bytes()).expect("refused").1;
        assert!(words.contains(&format!("the key \"key{twin}\" comes twice")), "{words}");
    }
}

#[test]
fn numbers_keep_their_text_whatever_their_size() {
    let numbers = "123456789012345678901234567890\n1e99999\n-0\n-0.0\n1E+2\n0.10000000000000000000001\n";
    let ran = run(&JsonToJsonl, json!({}), numbers.as_bytes()).expect("numbers");
    assert_eq!(ran.text(), numbers);
}

/// As serde_json reads it; `None` where it stops at a number beyond its range: it rounds, we do not.
fn serde_accepts(input: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(input) {
        Ok(_) => Some(true),
        Err(e) if e.to_string().contains("number out of range") => None,
        Err(_) => Some(false),
    }
}

/// Whether we accept it; a key that comes twice does not count, because serde_json takes the last.
fn we_accept(input: &[u8]) -> bool {
    refused(input).is_none_or(|(_, words)| words.contains("comes twice"))
}

/// Near-JSON: made of these, most of it is wrong in one place.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\"",
    "\\",
    "\\\"",
    "\"a\"",
    "\"b\":",
    "{\"a\":1}",
    "[1,2]",
    "1",
    "-",
    "0",
    "1.5",
    "1e5",
    "e",
    ".",
    "+",
    "true",
    "false",
    "null",
    "nul",
    " ",
    "\t",
    "\r",
    "é",
    "\u{feff}",
    "\\u0000",
    "\\ud800",
    "\\udc00",
    "\\n",
    "/",
    "\0",
    "\u{1}",
    "NaN",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn near_json_is_accepted_exactly_where_serde_json_accepts_it(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 1..10),
    ) {
        let input = pieces.concat();
        prop_assume!(!input.trim_matches([' ', '\t', '\r']).is_empty() && !input.starts_with('\u{feff}'));
        if let Some(accepted) = serde_accepts(input.as_bytes()) {
            prop_assert_eq!(we_accept(input.as_bytes()), accepted, "{}", input);
        }
    }

    #[test]
    fn json_with_one_byte_changed_is_accepted_exactly_where_serde_json_accepts_it(
        value in any_value(), style in any::<u8>(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut input = written(&value, style).replace(['\r', '\n'], " ").into_bytes();
        prop_assert!(refused(&input).is_none());
        let at = at.index(input.len());
        input[at] = byte;
        prop_assume!(byte != b'\n' && !input.trim_ascii().is_empty());
        if let Some(accepted) = serde_accepts(&input) {
            prop_assert_eq!(we_accept(&input), accepted, "{}", String::from_utf8_lossy(&input));
        }
    }

    #[test]
    fn json_cut_anywhere_is_accepted_exactly_where_serde_json_accepts_it(
        value in any_value(), style in any::<u8>(), at in any::<prop::sample::Index>(),
    ) {
        let mut input = format!("[{}]", written(&value, style)).into_bytes();
        let accepts = |input: &[u8]| run(&JsonToJsonl, json!({}), input).is_ok();
        prop_assert!(accepts(&input));
        input.truncate(at.index(input.len()));
        prop_assert!(input.is_empty() || !accepts(&input));
    }
}
