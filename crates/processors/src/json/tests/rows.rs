//! `json.to_csv`: another implementation reads what was written and finds the flattened values.

use super::*;
use crate::json::JsonToCsv;
use filemill_core::ports::{Chunk, InputFacts, RejectSink, Work};
use filemill_core::reject::Reject;
use serde_json::json;

suite::processor_suite! {
    processor: JsonToCsv,
    options: [
        json!({}),
        json!({ "find_columns": 2, "unknown_column": "ignore", "on_bad_record": "reject" }),
        json!({ "find_columns": "all", "on_bad_record": "reject", "line_end": "crlf", "delimiter": ";" }),
        json!({ "columns": ["a", { "from": "a.b", "to": "B" }], "unknown_column": "reject", "on_bad_record": "reject" }),
        json!({ "from": "array", "find_columns": "all", "formula_guard": true, "header": false }),
        json!({ "from": "lines", "find_columns": 1, "unknown_column": "reject", "separator": "/", "formula_guard": true }),
        json!({ "find_columns": "all" }),
    ],
    pieces: [
        "{", "}", "[", "]", ":", ",", "\"", "\\\"", "\n", "\r\n", "null", "1e5", "\"a\"", "é", "\u{feff}", "\\u0000", "\\ud800",
        "{\"a\":1}\n", "{\"a\":\"=x,\\\"\",\"b\":{\"c\":[1, {}]}}\n", "{\"a\":{\"b\":null}}\n", "{\"a\":{}}\n", "{\"é\":true}\n",
        "\"a\":", "\"b\":", "{\"a.b\":1,\"a\":{\"b\":2}}\n", "{}\n", "[1]\n", "{\"b\":-1}\n", ",{\"a\":\"\\n\"}", "[{\"a\":1}",
    ],
}

/// The plain way: names to texts, in order of appearance.
fn flattened(prefix: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let text = match value {
        Value::Object(object) if !object.is_empty() => {
            for (key, value) in object {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}/{key}") };
                flattened(&name, value, into);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    into.push((prefix.to_owned(), text));
}

fn read(csv: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).delimiter(delimiter).from_reader(csv);
    reader.records().map(|r| r.expect("a row").iter().map(str::to_owned).collect()).collect()
}

#[test]
fn records_become_rows() {
    for (options, input, expected) in [
        (json!({}), "[]", ""),
        (json!({}), "{}\n{}", ""),
        (json!({ "columns": ["a", "b"] }), "", "a,b\n"),
        (json!({}), "{\"a\":1,\"b\":\"x\"}\n{\"b\":\"y\"}\n{\"a\":null}\n", "a,b\n1,x\n,y\n,\n"),
        (
            json!({}),
            "{\"a\":{\"b\":1,\"c\":{\"d\":true}},\"e\":[1, {\"f\": 2}]}",
            "a.b,a.c.d,e\n1,true,\"[1,{\"\"f\"\":2}]\"\n",
        ),
        (json!({}), "[{\"n\":12345678901234567890.10},{\"n\":-0}]", "n\n12345678901234567890.10\n-0\n"),
        (
            json!({}),
            "{\"a\":\"x,y\",\"b\":\"\\\"q\\\"\",\"c\":\"1\\r\\n2\"}",
            "a,b,c\n\"x,y\",\"\"\"q\"\"\",\"1\r\n2\"\n",
        ),
        (json!({}), "{\"a\":{}, \"b\":[ ]}", "a,b\n{},[]\n"),
        (json!({ "columns": ["a.b"] }), "{\"a\":null}\n{\"a\":{}}\n{\"a\":{\"b\":1}}", "a.b\n\"\"\n\"\"\n1\n"),
        (json!({}), "{\"a\":null}\n{\"a\":\"\"}", "a\n\"\"\n\"\"\n"),
        (
            json!({ "header": false, "line_end": "crlf", "delimiter": "\t" }),
            "{\"a\":\"x,y\",\"b\":\"1\\t2\"}",
            "x,y\t\"1\t2\"\r\n",
        ),
        (
            json!({ "columns": [{ "from": "b", "to": "Bee, the" }, "a"], "unknown_column": "ignore" }),
            "{\"a\":1,\"b\":2,\"c\":{\"a\":3}}",
            "\"Bee, the\",a\n2,1\n",
        ),
        (json!({ "separator": "/" }), "{\"a\":{\"b\":\"\\ud83d\\ude00\"}}", "a/b\n😀\n"),
        (json!({}), "{\"\":1}", "\"\"\n1\n"),
        (json!({ "find_columns": "all" }), "{\"a\":1}\n{\"b\":2}", "a,b\n1,\n,2\n"),
        (json!({ "find_columns": "all" }), "[{\"a\":1},{\"b\":2}]", "a,b\n1,\n,2\n"),
        (json!({ "from": "array" }), "{\n\"a\": 1\n}", "a\n1\n"),
        (
            json!({ "columns": ["a", "a.b.c", "a.bc", "a-", "a.b"], "unknown_column": "ignore" }),
            "{\"a\":{\"b\":{\"c\":1,\"d\":5,\"\":6},\"bc\":2,\"\":7},\"a-\":3,\"a.\":8}\n{\"a\":4,\"a.b\":{\"c\":9}}\n{\"a.b\":10}",
            "a,a.b.c,a.bc,a-,a.b\n,1,2,3,\n4,9,,,\n,,,,10\n",
        ),
    ] {
        suite::every_cut_equals(&*suite::prepared(&JsonToCsv, &options), input.as_bytes(), expected.as_bytes());
    }
}

#[test]
fn formulas_are_guarded_and_numbers_stay() {
    let input =
        "{\"=h\":\"=1+1\",\"b\":-5,\"c\":\"-5\",\"d\":\"\\u0000x\",\"e\":\"@a,b\",\"f\":\"a=b\",\"g\":\"\\tx\"}";
    let options = json!({ "formula_guard": true });
    let transform = suite::prepared(&JsonToCsv, &options);
    suite::every_cut_equals(&*transform, input.as_bytes(), b"'=h,b,c,d,e,f,g\n'=1+1,-5,'-5,'\0x,\"'@a,b\",a=b,'\tx\n");
    assert_eq!(run(&JsonToCsv, options, input.as_bytes()).expect("rows").summary["guarded_cells"], 6);
}

#[test]
fn values_that_are_left_out_are_counted() {
    let options = json!({ "columns": ["a"], "unknown_column": "ignore", "on_bad_record": "reject" });
    let input = b"{\"a\":1,\"b\":2,\"c\":{\"d\":3,\"e\":null}}\n{\"b\":1,\"a\":\n{\"b\":[1,2]}";
    let transform = suite::prepared(&JsonToCsv, &options);
    assert_eq!(suite::chunked(&*transform, input, 9).expect("rows").summary["ignored_values"], 4);
}

#[test]
fn records_that_are_no_rows_are_named() {
    for (options, input, says) in [
        (json!({}), "{\"a\":1}\n5", "record 2, line 2, byte 8: a row is made of an object"),
        (json!({}), "[[1]]", "record 1, line 1, byte 1: a row is made of an object"),
        (json!({}), "{\"a.b\":1,\"a\":{\"b\":2}}", "record 1, line 1, byte 0: two values have the name \"a.b\""),
        (
            json!({ "find_columns": 1 }),
            "[{\"a\":1},\n{\"a\":{\"b\":1}}]",
            "record 2, line 2, byte 10: the key \"a.b\" is not",
        ),
        (json!({ "columns": ["a"] }), "{\"a\":1,\"b\":null}", "the key \"b\" is not among the columns"),
        (json!({ "columns": ["a"] }), "{\"a\":1,\"b\\u00e9\":{\"c\":[]}}", "the key \"bé.c\" is not among the columns"),
    ] {
        let (code, words) = run(&JsonToCsv, options, input.as_bytes()).expect_err(input);
        assert!(code == "input_invalid" && words.contains(says), "{input}: {words}");
    }
}

#[test]
fn unusable_records_are_rejected_from_arrays_too() {
    let options = json!({ "columns": ["a"], "unknown_column": "reject", "on_bad_record": "reject" });
    let input = b"[{\"a\":1},7,{\"b\":1},\n{\"a\":1,\"a\":1},{\"a\":2}]";
    let ran = run(&JsonToCsv, options, input).expect("rows");
    assert_eq!((ran.text(), ran.records), ("a\n1\n2\n", 5));
    let rejects = ran.reject_list();
    let found: Vec<_> =
        rejects.iter().map(|r| (r["line"].as_u64(), r["byte"].as_u64(), r["column"].as_str())).collect();
    assert_eq!(found, [(Some(1), Some(9), None), (Some(1), Some(11), Some("b")), (Some(2), Some(20), None)]);
}

#[test]
fn too_many_columns_end_the_job() {
    let many: Vec<_> = (0..17_000).map(|n| format!("\"{n}\":0")).collect();
    let long = format!("{{\"{}\":1}}", "k".repeat(5000));
    let names: Vec<_> = (0..100).map(|n| format!("\"{n}{}\":0", "k".repeat(4000))).collect();
    for (input, says) in [
        (format!("{{}}\n{{{}}}", many.join(",")), "record 2, line 2, byte 3: more than 16384 columns were found"),
        (long, "record 1, line 1, byte 0: names beyond 4096 bytes"),
        (format!("{{{}}}", names.join(",")), "names of more than 256 KiB together were found"),
    ] {
        for find in [json!(5), json!("all")] {
            let transform = suite::prepared(&JsonToCsv, &json!({ "find_columns": find }));
            for ran in
                [suite::whole(&*transform, input.as_bytes()), suite::chunked(&*transform, input.as_bytes(), 1000)]
            {
                assert!(ran.expect_err("refused").to_string().contains(says));
            }
        }
    }
}

#[test]
fn a_long_array_takes_no_more_memory_than_a_short_one() {
    let array = format!("[{}]", vec!["{\"a\":\"some text\",\"b\":[1,2],\"c\":{\"d\":5}}"; 200_000].join(",\n"));
    let transform = suite::prepared(&JsonToCsv, &json!({}));
    let facts = InputFacts { key: "input", size: u64::MAX, content_type: None, etag: None };
    let (mut output, mut rejects) = (suite::Discard(0), Vec::new());
    let held = allocation_counter::measure(|| {
        let mut input = array.as_bytes();
        let (rejects, sources) = (&mut Kept(&mut rejects), &suite::Shelf::default());
        let mut work = Work { input: &mut input, output: &mut output, rejects, sources, pulse: &suite::Calm };
        assert_eq!(transform.process(&Chunk::whole(facts), &mut work).expect("rows").records, 200_000);
    });
    assert!(array.len() > 6 << 20 && output.0 > 3 << 20);
    assert!(held.bytes_max < 2 << 20, "{}", held.bytes_max);
}

struct Kept<'a>(&'a mut Vec<u8>);

impl RejectSink for Kept<'_> {
    fn reject(&mut self, reject: &Reject<'_>) -> std::io::Result<()> {
        reject.write_to(&mut self.0)
    }
}

#[test]
fn options_that_cannot_be_are_refused() {
    for (options, says) in [
        (json!({ "columns": ["a"], "find_columns": 5 }), "do not go together"),
        (json!({ "columns": [] }), "give 1 to 16384"),
        (json!({ "columns": ["a", "a"] }), "\"a\" twice"),
        (json!({ "columns": ["a", { "from": "b", "to": "a" }] }), "\"a\" twice"),
        (json!({ "columns": [5] }), "a name, or { from = name, to = header }"),
        (json!({ "find_columns": 0 }), "a number of records from 1 on, or \"all\""),
        (json!({ "delimiter": "ab" }), "one ASCII character"),
        (json!({ "delimiter": "." }), "one ASCII character"),
        (json!({ "delimiter": "é" }), "one ASCII character"),
        (json!({ "separator": "" }), "1 to 16 bytes"),
    ] {
        let error = JsonToCsv.prepare(options.as_object().expect("an object")).map(drop).expect_err("refused");
        assert!(error.contains(says), "{options}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn another_reader_finds_the_flattened_values(
        objects in prop::collection::vec(any_object(any_value()), 1..6),
        style in any::<u8>(), chunk_bytes in 1u64..300, as_array in any::<bool>(),
    ) {
        let rows: Vec<Vec<(String, String)>> = objects.iter().map(|object| {
            let mut row = Vec::new();
            for (key, value) in object {
                flattened(key, value, &mut row);
            }
            row
        }).collect();
        // an empty key within is no prefix in the plain way; and two names of one record may be equal
        prop_assume!(!objects.iter().any(|o| o.contains_key("")));
        let collides = |row: &Vec<(String, String)>| {
            let mut names: Vec<_> = row.iter().map(|(name, _)| name).collect();
            names.sort();
            names.windows(2).any(|pair| pair[0] == pair[1])
        };
        prop_assume!(!rows.iter().any(collides));
        let mut columns: Vec<String> = Vec::new();
        for (name, _) in rows.iter().flatten() {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
        prop_assume!(!columns.is_empty());
        let cell = |row: &Vec<(String, String)>, column: &String| {
            row.iter().find(|(name, _)| name == column).map(|(_, text)| text.clone()).unwrap_or_default()
        };
        let mut expected = vec![columns.clone()];
        expected.extend(rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()));

        let style = if style % 3 == 1 && !as_array { 0 } else { style };
        let texts: Vec<_> = objects.iter().map(|o| written(&Value::from(o.clone()), style)).collect();
        let input = if as_array { format!("[{}]", texts.join(" ,\n")) } else { texts.join("\n") };
        for find in [json!(1000), json!("all")] {
            let options = json!({ "find_columns": find, "separator": "/", "delimiter": ";" });
            let transform = suite::prepared(&JsonToCsv, &options);
            let ran = suite::chunked(&*transform, input.as_bytes(), chunk_bytes).expect("rows");
            let shown = |text: &String| if style % 3 == 2 { escaped_within(text) } else { text.clone() };
            let expected: Vec<Vec<String>> = expected.iter().map(|row| row.iter().map(shown).collect()).collect();
            let found: Vec<Vec<String>> = read(&ran.output, b';').iter().map(|row| row.iter().map(shown).collect()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

/// Arrays keep the text of their strings, so those of an escaped input are compared escaped.
fn escaped_within(text: &str) -> String {
    escaped(text)
}
