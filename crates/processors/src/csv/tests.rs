//! Proof of `csv.transform`: the `csv` crate reads the same records, serde_json the same values, wherever the input is cut.

mod columns;
mod faults;
mod reference;

use super::CsvTransform;
use crate::suite::{self, Ran, prepared, whole};
use serde_json::{Value, json};

fn run(options: Value, input: &str) -> Ran {
    whole(&*prepared(&CsvTransform, &options), input.as_bytes()).unwrap_or_else(|e| panic!("{options} {input:?}: {e}"))
}

fn fails(options: Value, input: &[u8]) -> String {
    let transform = prepared(&CsvTransform, &options);
    suite::every_cut_equals_the_whole(&*transform, input);
    whole(&*transform, input).map(drop).expect_err("a failure").to_string()
}

/// The whole result, however the input is cut.
fn gives(options: Value, input: &str, expected: &str) {
    suite::every_cut_equals(&*prepared(&CsvTransform, &options), input.as_bytes(), expected.as_bytes());
}

mod exactness {
    use super::*;

    suite::processor_suite! {
        processor: CsvTransform,
        options: [
            json!({ "to": "jsonl" }),
            json!({ "to": "jsonl", "header": false, "ragged": "pad", "types": "infer" }),
            json!({ "to": "json", "ragged": "reject", "on_bad_record": "reject" }),
            json!({ "to": "json", "header": false, "ragged": "reject",
                "columns": [{ "from": 1, "to": "n", "type": "integer" }], "on_bad_record": "reject" }),
            json!({ "to": "csv", "ragged": "reject", "formula_guard": true }),
            json!({ "to": "csv", "header": false, "ragged": "pad", "line_end": "crlf", "output_delimiter": "a" }),
            json!({ "to": "csv", "quote": "", "delimiter": "1", "output_delimiter": ",", "ragged": "reject", "output_header": false }),
            json!({ "to": "jsonl", "quote": "'", "delimiter": "\t", "ragged": "reject" }),
        ],
        pieces: ["\"", "\"\"", ",", "\n", "\r\n", "\r", "a", "1", "é", "=1", "\u{feff}", "\",\"", "1,a\n"],
    }
}

#[test]
fn text_stays_as_it_is() {
    let input = "id,amount,big,empty,note,flag\r\n\
        007,1.50,12345678901234567890,,\"a\r\nb,\"\"c\"\"\",true\r\n\
        0,1e5,-0,\"\",\" x \",NULL\r\n";
    gives(
        json!({ "to": "jsonl" }),
        input,
        "{\"id\":\"007\",\"amount\":\"1.50\",\"big\":\"12345678901234567890\",\"empty\":\"\",\"note\":\"a\\r\\nb,\\\"c\\\"\",\"flag\":\"true\"}\n\
         {\"id\":\"0\",\"amount\":\"1e5\",\"big\":\"-0\",\"empty\":\"\",\"note\":\" x \",\"flag\":\"NULL\"}\n",
    );
    gives(
        json!({ "to": "jsonl", "types": "infer" }),
        input,
        "{\"id\":\"007\",\"amount\":1.50,\"big\":12345678901234567890,\"empty\":\"\",\"note\":\"a\\r\\nb,\\\"c\\\"\",\"flag\":true}\n\
         {\"id\":0,\"amount\":1e5,\"big\":-0,\"empty\":\"\",\"note\":\" x \",\"flag\":\"NULL\"}\n",
    );
    gives(json!({ "to": "csv" }), input, input);
}

#[test]
fn an_array_holds_the_records_one_a_line() {
    let array = "[\n{\"a\":\"1\",\"b\":\"2\"},\n{\"a\":\"3\",\"b\":\"4\"}\n]\n";
    gives(json!({ "to": "json" }), "a,b\n1,2\n\n3,4", array);
    let bad_first = "a,b\nx\ny\n1,2\nz\n3,4\nx\n";
    gives(json!({ "to": "json", "ragged": "reject" }), bad_first, array);
    gives(json!({ "to": "json", "ragged": "reject" }), "a,b\nx\ny\nz\nlong enough to be cut", "[]\n");
}

#[test]
fn a_file_without_records_gives_the_least_that_can_be_read() {
    for input in ["", "\u{feff}", "\n\r\n\r", "\u{feff}\n"] {
        gives(json!({ "to": "csv" }), input, "");
        gives(json!({ "to": "json", "columns": ["x"] }), input, "[]\n");
        gives(json!({ "to": "jsonl", "header": false }), input, "");
    }
    for input in ["a,b", "\u{feff}a,b\n", "\n\na,b\n\n"] {
        gives(json!({ "to": "csv" }), input, "a,b\n");
        gives(json!({ "to": "json" }), input, "[]\n");
        gives(json!({ "to": "jsonl" }), input, "");
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_name_and_never_made() {
    gives(json!({ "to": "jsonl" }), "\u{feff}id\n1\n", "{\"id\":\"1\"}\n");
    gives(json!({ "to": "jsonl" }), "\u{feff}\"i,d\"\n1\n", "{\"i,d\":\"1\"}\n");
    gives(json!({ "to": "csv" }), "\u{feff}\"id\"\n\u{feff}1\n", "\"id\"\n\"\u{feff}1\"\n");
    gives(json!({ "to": "csv", "columns": [2, 1] }), "a,\u{feff}b\nc,d\n", "\"\u{feff}b\",a\nd,c\n");
}

#[test]
fn written_csv_is_quoted_where_it_must_be_and_where_it_was() {
    for (options, input, expected) in [
        (json!({}), "a,b\n\"x\",\"\"\n,y\n", "a,b\n\"x\",\"\"\n,y\n"),
        (json!({}), "a,b\nx\"y\"z,\"p\"q\n", "a,b\n\"x\"\"y\"\"z\",pq\n"),
        (json!({}), "a,b\nx\"y\",z\n", "a,b\n\"x\"\"y\"\"\",z\n"),
        (json!({}), "a\n\"\"\nx\n", "a\n\"\"\nx\n"),
        (json!({ "columns": [1] }), "a,b\n,1\n\"\",2\n", "a\n\"\"\n\"\"\n"),
        (json!({ "output_delimiter": ";" }), "a,b\nx;y,\"p,q\"\n", "a;b\n\"x;y\";\"p,q\"\n"),
        (json!({ "output_delimiter": ";" }), "a,b,c\nx,y;,z\n", "a;b;c\nx;\"y;\";z\n"),
        (json!({ "output_delimiter": "\\t" }), "a,b\nx\ty,z\n", "a\tb\n\"x\ty\"\tz\n"),
        (json!({ "delimiter": ";", "output_delimiter": "," }), "a;b\n1,5;2\n", "a,b\n\"1,5\",2\n"),
        (json!({ "quote": "'" }), "a,b\n'x,''y',\"z\"\n'',z\n", "a,b\n\"x,'y\",\"\"\"z\"\"\"\n,z\n"),
        (json!({ "quote": "" }), "a,b\n\"x,y\"\n", "a,b\n\"\"\"x\",\"y\"\"\"\n"),
        (json!({ "line_end": "crlf" }), "a,b\n1,\"2\n3\"", "a,b\r\n1,\"2\n3\"\r\n"),
        (json!({ "line_end": "lf" }), "a,b\r\n1,2\r\n", "a,b\n1,2\n"),
        (json!({}), "a,b\r1,2\n3,4", "a,b\r1,2\r3,4\r"),
        (json!({}), "a,b\r\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n"),
        (json!({ "output_header": false }), "a,b\n1,2\n", "1,2\n"),
        (json!({ "header": false }), "a,b\n1,2\n", "a,b\n1,2\n"),
        (json!({ "header": false, "output_header": true }), "a,b\n", "column_1,column_2\na,b\n"),
    ] {
        let mut options = options;
        options["to"] = "csv".into();
        gives(options, input, expected);
    }
}

#[test]
fn bytes_that_are_no_utf8_pass_from_csv_to_csv() {
    let input = b"n\xe4me,b\n\xff,\"\xfe\"\n1,2\n";
    suite::every_cut_equals(&*prepared(&CsvTransform, &json!({ "to": "csv" })), input, input);
}

#[test]
fn the_guard_disarms_formulas_and_counts_them() {
    let options = json!({ "to": "csv", "formula_guard": true });
    let input = "=a,b\n=1+1,-5\n\"=1,2\",+1.5\n\"@\",\"\tx\"\n\"\rx\",\0\nx=1,\"\"\"=\"\n";
    let expected = "'=a,b\n'=1+1,'-5\n\"'=1,2\",'+1.5\n\"'@\",\"'\tx\"\n\"'\rx\",'\0\nx=1,\"\"\"=\"\n";
    gives(options.clone(), input, expected);
    assert_eq!(run(options.clone(), input).summary["guarded_cells"], 9);
    assert_eq!(run(options, "a\nb\n").summary["guarded_cells"], 0);
    gives(json!({ "to": "csv" }), input, input);
}

#[test]
fn content_types_say_what_is_written() {
    for (options, expected) in [
        (json!({ "to": "csv" }), "text/csv; charset=utf-8; header=present"),
        (json!({ "to": "csv", "output_header": false }), "text/csv; charset=utf-8; header=absent"),
        (json!({ "to": "csv", "header": false }), "text/csv; charset=utf-8; header=absent"),
        (json!({ "to": "json" }), "application/json"),
        (json!({ "to": "jsonl" }), "application/x-ndjson"),
    ] {
        let facts =
            filemill_core::ports::InputFacts { key: "a.csv", size: 1, content_type: Some("text/csv"), etag: None };
        assert_eq!(prepared(&CsvTransform, &options).content_type(facts).as_deref(), Some(expected));
    }
}
