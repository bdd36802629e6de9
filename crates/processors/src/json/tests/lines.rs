//! `json.to_jsonl` and `jsonl.to_json`: values come out as they went in, wherever the input is cut.

use super::*;
use crate::json::{JsonToJsonl, JsonlToJson};
use serde_json::json;

mod to_jsonl {
    use super::*;

    suite::processor_suite! {
        processor: JsonToJsonl,
        options: [
            json!({}),
            json!({ "from": "lines", "on_bad_record": "reject" }),
            json!({ "from": "array" }),
            json!({ "on_bad_record": "reject" }),
        ],
        pieces: [
            "{", "}", "[", "]", ":", ",", "\"", "\\\"", "\n", "\r\n", "null", "1e5", "\"a\"", "é", "\u{feff}", "\\u0000", "\\ud800",
            "{\"a\":1}\n", "[1, {}]\n", " ", "12345678901234567890", "{\"b\" : [ ] }\n", "\n\n", ",\n",
        ],
    }
}

mod to_json {
    use super::*;

    suite::processor_suite! {
        processor: JsonlToJson,
        options: [
            json!({}),
            json!({ "on_bad_record": "reject" }),
            json!({ "from": "auto", "on_bad_record": "reject" }),
            json!({ "from": "array" }),
        ],
        pieces: [
            "{", "}", "[", "]", ":", ",", "\"", "\\\"", "\n", "\r\n", "null", "1e5", "\"a\"", "é", "\u{feff}", "\\u0000", "\\ud800",
            "{\"a\":1}\n", "[1, {}]\n", " ", "12345678901234567890\n", "x\n", "\n\n", "null\n",
        ],
    }
}

#[test]
fn elements_become_lines_with_everything_but_blanks_kept() {
    let transform = suite::prepared(&JsonToJsonl, &json!({}));
    for (input, expected) in [
        ("[]", ""),
        ("", ""),
        ("\u{feff} [ ] \n", ""),
        ("[ 1 , \"a b\" ,null]", "1\n\"a b\"\nnull\n"),
        ("[\r\n {\"b\" : 1.50, \"a\": [ 1 , {} ] }\r\n]", "{\"b\":1.50,\"a\":[1,{}]}\n"),
        ("[\"\\u00e9 \\/ é\", 1E5]", "\"\\u00e9 \\/ é\"\n1E5\n"),
        ("\u{feff}{\"a\": 1}\r\n\r\n \t\n{\"a\" :2}", "{\"a\":1}\n{\"a\":2}\n"),
        ("{\"a\": 1}", "{\"a\":1}\n"),
        ("1\n2\n3", "1\n2\n3\n"),
    ] {
        suite::every_cut_equals(&*transform, input.as_bytes(), expected.as_bytes());
    }
    let one = run(&JsonToJsonl, json!({ "from": "array" }), b"{\n \"a\": 1\n}\n").expect("an array of one");
    assert_eq!((one.text(), one.records), ("{\"a\":1}\n", 1));
}

#[test]
fn lines_become_an_array_whatever_is_rejected() {
    let transform = suite::prepared(&JsonlToJson, &json!({ "on_bad_record": "reject" }));
    for (input, expected) in [
        ("", "[]\n"),
        ("\n \n", "[]\n"),
        ("x\ny\n", "[]\n"),
        ("1", "[\n1\n]\n"),
        ("x\n\n1\ny\n", "[\n1\n]\n"),
        ("{\"a\": 1}\r\n[2]\nx\n3\n", "[\n{\"a\": 1},\n[2],\n3\n]\n"),
        ("\u{feff}\n\nx\n\u{feff}\n1\n\n2", "[\n1,\n2\n]\n"),
    ] {
        suite::every_cut_equals(&*transform, input.as_bytes(), expected.as_bytes());
    }
}

#[test]
fn rejects_name_line_byte_reason_and_text() {
    let input = b"1\n\n  {\"a\":}  \r\n[1,2\n";
    let transform = suite::prepared(&JsonlToJson, &json!({ "on_bad_record": "reject" }));
    let ran = suite::chunked(&*transform, input, 4).expect("a result");
    assert_eq!((ran.text(), ran.records), ("[\n1\n]\n", 3));
    let rejects = ran.reject_list();
    assert_eq!(
        rejects[0],
        json!({ "line": 3, "byte": 5, "column": null, "reason": "expected a value, found `}` (byte 10)", "record": "{\"a\":}" }),
    );
    assert_eq!(
        (&rejects[1]["line"], &rejects[1]["byte"], &rejects[1]["record"]),
        (&json!(4), &json!(15), &json!("[1,2"))
    );
}

#[test]
fn a_flawed_element_can_be_rejected_and_a_broken_one_ends_the_job() {
    let options = json!({ "on_bad_record": "reject" });
    let ran = run(&JsonToJsonl, options.clone(), b"[1,\n{\"a\":1,\"a\":2}, \"\\ud800\",3]").expect("a result");
    assert_eq!((ran.text(), ran.records), ("1\n3\n", 4));
    assert_eq!(ran.reject_list().len(), 2);
    assert_eq!(ran.reject_list()[0]["line"], 2);
    assert!(run(&JsonToJsonl, options, b"[1,{\"a\"},3]").is_err());
}

/// Blocks are 256 KiB: records around that length, in each of both layouts, and borders anywhere.
#[test]
fn records_longer_than_blocks_and_chunks_are_exact() {
    let texts: Vec<String> = [1, 262_100, 40, 262_143, 262_144, 262_145, 1_000_003, 2, 7]
        .map(|n| format!("\"{}\\n\"", "é".repeat(n / 2)))
        .into();
    let array = format!("[\r\n{}\n ]", texts.join(" ,\n"));
    let lines = texts.join("\n") + "\n";
    let transform = suite::prepared(&JsonToJsonl, &json!({}));
    assert!(suite::whole(&*transform, array.as_bytes()).expect("an array").output == lines.as_bytes());
    for chunk_bytes in [100_000, 262_144, 900_001] {
        assert!(suite::chunked(&*transform, lines.as_bytes(), chunk_bytes).expect("lines").output == lines.as_bytes());
        let back = suite::chunked(&*suite::prepared(&JsonlToJson, &json!({})), lines.as_bytes(), chunk_bytes);
        assert!(back.expect("lines").output == format!("[\n{}\n]\n", texts.join(",\n")).as_bytes());
    }
}

proptest! {
    #[test]
    fn values_come_out_as_they_went_in(
        values in prop::collection::vec(any_value(), 0..6), style in any::<u8>(), chunk_bytes in 1u64..200,
    ) {
        let array = written(&Value::from(values.clone()), style);
        let lines = run(&JsonToJsonl, json!({}), array.as_bytes()).expect("an array");
        let expected: String = values.iter().map(|v| written(v, if style % 3 == 1 { 0 } else { style }) + "\n").collect();
        prop_assert_eq!(lines.text(), expected);
        let transform = suite::prepared(&JsonlToJson, &json!({}));
        let back = suite::chunked(&*transform, &lines.output, chunk_bytes).expect("lines");
        prop_assert_eq!(serde_json::from_slice::<Value>(&back.output).expect("JSON"), Value::from(values));
    }
}
