//! Bad records, limits and hostile files: what is said, what is set aside, and that memory stays bounded.

use super::*;
use crate::suite::{Calm, Discard, Shelf};
use filemill_core::limits::{COLUMNS_MAX, RECORD_BYTES_MAX, VALUE_BYTES_MAX};
use filemill_core::ports::{Chunk, InputFacts, ProcessError, RejectSink, Work};
use filemill_core::reject::Reject;
use std::io::{self, Read};

#[test]
fn errors_say_record_line_byte_and_column() {
    for (options, input, says) in [
        (json!({}), &b"a,b\n1,2\n\n1,2,3\n"[..], "record 2 (line 4, byte 9): has 3 fields where 2 are expected"),
        (
            json!({ "ragged": "pad" }),
            b"a,b\n\"x\ny\"\n1,2,3\n",
            "record 2 (line 4, byte 10): has 3 fields where 2 are expected",
        ),
        (json!({}), b"a,b\r\n\"x\r\ny\",1\r\n1\r\n", "record 2 (line 4, byte 15): has 1 field where 2 are expected"),
        (
            json!({}),
            b"a,b\n1,2\n\"x\ny\",\"z\n",
            "record 2 (line 3, byte 8): the quoted field that begins at line 4, byte 14 (column 2) has no closing quote",
        ),
        (
            json!({}),
            b"a,\"b\n1,2\n",
            "the header (line 1, byte 0): the quoted field that begins at line 1, byte 2 (column 2)",
        ),
        (
            json!({ "columns": ["a", { "from": "b", "type": "integer" }] }),
            b"a,b\n1,\"2\"\n1,07\n",
            "record 2 (line 3, byte 12), column \"b\": \"07\" is not an integer",
        ),
        (
            json!({ "header": false, "columns": [{ "from": 2, "type": "boolean" }] }),
            b"1,true\r1,yes\r",
            "record 2 (line 2, byte 9), column \"column_2\": \"yes\" is not true or false",
        ),
        (json!({}), b"a,b\n1,2\n3,x\xff\n", "record 2 (line 3, byte 10), column \"b\": is not UTF-8"),
        (json!({}), b"a,b\xff\n1,2\n", "the name of column 2 (\"b\u{fffd}\") is not UTF-8"),
    ] {
        let mut options = options;
        options["to"] = "json".into();
        let error = fails(options, input);
        assert!(error.starts_with(says) || error.contains(": ") && error.contains(says), "{error}\nexpected {says}");
    }
}

#[test]
fn codes_say_what_kind_of_fault_it_is() {
    for (input, code) in
        [(&b"a,b\n1\n"[..], "input_invalid"), (b"a\n\"1", "input_invalid"), (b"a\n\xff\n", "input_encoding")]
    {
        let transform = prepared(&CsvTransform, &json!({ "to": "jsonl" }));
        match whole(&*transform, input) {
            Err(ProcessError::Failed(e)) => assert_eq!((e.code.as_str(), e.permanent), (code, true)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn bad_records_are_set_aside_as_they_stand() {
    let options = json!({ "to": "jsonl", "ragged": "reject", "on_bad_record": "reject",
        "columns": ["b", { "from": "a", "type": "integer" }] });
    let input = b"a,b,c\n1,x,\n\"2\n\",y,\n3\n4,\xff,\n5,z,\xff\n\"6\",\"\",\n";
    let transform = prepared(&CsvTransform, &options);
    let expected = "{\"b\":\"x\",\"a\":1}\n{\"b\":\"z\",\"a\":5}\n{\"b\":\"\",\"a\":6}\n";
    suite::every_cut_equals(&*transform, input, expected.as_bytes());
    let ran = whole(&*transform, input).expect("a result");
    let reject = |line: u64, byte: u64, column: Option<&str>, reason: &str, record: &str| json!({ "line": line, "byte": byte, "column": column, "reason": reason, "record": record });
    assert_eq!(
        ran.reject_list(),
        [
            reject(3, 11, Some("a"), "\"2\\n\" is not an integer", "\"2\n\",y,"),
            reject(5, 19, None, "has 1 field where 3 are expected", "3"),
            reject(6, 21, Some("b"), "is not UTF-8, which JSON needs", "4,\u{fffd},"),
        ]
    );
    assert_eq!(ran.records, 6);
}

#[test]
fn missing_fields_are_padded() {
    let input = "a,b,c\n1\n\"2\",3\n4,5,6\n";
    gives(json!({ "to": "csv", "ragged": "pad" }), input, "a,b,c\n1,,\n\"2\",3,\n4,5,6\n");
    gives(
        json!({ "to": "jsonl", "ragged": "pad", "columns": ["c", { "from": "b", "type": "number" }] }),
        input,
        "{\"c\":\"\",\"b\":null}\n{\"c\":\"\",\"b\":3}\n{\"c\":\"6\",\"b\":5}\n",
    );
}

/// Gives a start, then a byte again and again, then an end.
struct Endless {
    start: &'static [u8],
    byte: u8,
    left: u64,
    end: &'static [u8],
    given: u64,
}

impl Read for Endless {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut read = self.start.read(buf)?;
        if read == 0 {
            read = buf.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
            buf[..read].fill(self.byte);
            self.left -= read as u64;
        }
        if read == 0 {
            read = self.end.read(buf)?;
        }
        self.given += read as u64;
        Ok(read)
    }
}

struct Nobody;

impl RejectSink for Nobody {
    fn reject(&mut self, _: &Reject<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// How it ends, how much of it was read and how much is written; it holds at most 64 MiB.
fn endless(
    options: Value,
    start: &'static [u8],
    byte: u8,
    left: u64,
    end: &'static [u8],
) -> (Result<u64, String>, u64) {
    let transform = prepared(&CsvTransform, &options);
    let mut input = Endless { start, byte, left, end, given: 0 };
    let mut output = Discard(0);
    let mut ended = Ok(0);
    let held = allocation_counter::measure(|| {
        let facts = InputFacts { key: "input", size: u64::MAX, content_type: None, etag: None };
        let (input, output) = (&mut input, &mut output);
        let mut work = Work { input, output, rejects: &mut Nobody, sources: &Shelf::default(), pulse: &Calm };
        ended = transform.process(&Chunk::whole(facts), &mut work).map(|_| 0).map_err(|e| e.to_string());
    });
    assert!(held.bytes_max < 64 << 20, "{options} held {} bytes", held.bytes_max);
    (ended.map(|_| output.0), input.given)
}

#[test]
fn an_endless_quoted_field_ends_with_an_error_in_bounded_memory() {
    for to in ["csv", "json", "jsonl"] {
        let (ended, read) = endless(json!({ "to": to }), b"a,b\n1,2\n3,\"x\n", b'\n', 1 << 30, b"");
        let error = ended.expect_err("too long");
        let says = "record 2 (line 3, byte 8) is longer than 16 MiB; the quoted field that begins at line 3, byte 10 may lack its closing quote";
        assert_eq!(error, says);
        assert!(read < 18 << 20, "{read}");
    }
}

#[test]
fn limits_of_records_and_values_hold_to_the_byte() {
    let value = VALUE_BYTES_MAX as u64;
    let (ended, _) = endless(json!({ "to": "jsonl" }), b"a\n", 1, value, b"\n1\n");
    assert_eq!(ended, Ok(6 * value + 19), "every byte becomes six");
    let (ended, _) = endless(json!({ "to": "jsonl", "types": "infer" }), b"a\n\"", b'"', value - 2, b"\"\n");
    assert_eq!(ended, Ok(value - 2 + 9), "doubled quotes become escaped ones");
    let (ended, _) = endless(json!({ "to": "jsonl" }), b"a,b\n1,", b'x', value + 1, b"\n");
    assert_eq!(ended, Err("record 1 (line 2, byte 6), column \"b\": a value of more than 8 MiB".into()));
    let (ended, _) = endless(json!({ "to": "csv" }), b"a\n", b'x', RECORD_BYTES_MAX as u64 + 1, b"\n");
    assert_eq!(ended, Err("record 1 (line 2, byte 2) is longer than 16 MiB".into()));
    let (ended, _) = endless(json!({ "to": "csv" }), b"a", b',', COLUMNS_MAX as u64 - 1, b"\n");
    assert_eq!(ended, Ok(COLUMNS_MAX as u64 + 1));
    let (ended, _) = endless(json!({ "to": "csv" }), b"a", b',', COLUMNS_MAX as u64, b"\n");
    assert_eq!(ended, Err(format!("the header (line 1, byte 0) has more than {COLUMNS_MAX} columns")));
    let (ended, _) = endless(json!({ "to": "csv" }), b"a\n", b',', 15 << 20, b"\n");
    assert_eq!(ended, Err(format!("record 1 (line 2, byte 2) has more than {COLUMNS_MAX} columns")));
    let (ended, _) = endless(json!({ "to": "csv" }), b"", b'x', 2 << 20, b"\n");
    assert_eq!(ended, Err("the header is longer than 1 MiB; is it one?".into()));
    let (ended, read) = endless(json!({ "to": "jsonl" }), b"a\n", b'\n', 32 << 20, b"1\n");
    assert_eq!((ended, read), (Ok(10), (32 << 20) + 4), "blank lines are none");
}
