//! Which columns are written, under which names; options that do not hold.

use super::*;
use filemill_core::chunks::{ChunkLimits, ChunkPlan, Cut};
use filemill_core::ports::Processor;

#[test]
fn columns_are_selected_renamed_and_put_in_order() {
    let input = "id,Full name,n\n1,\"Ann, B\",2.50\n2,Cy,\n";
    let columns =
        json!([{ "from": "Full name", "to": "name" }, 3, "id", { "from": 1, "type": "integer", "to": "key" }]);
    gives(json!({ "to": "csv", "columns": columns }), input, "name,n,id,key\n\"Ann, B\",2.50,1,1\nCy,,2,2\n");
    gives(
        json!({ "to": "jsonl", "columns": [{ "from": "n", "type": "number" }, { "from": "id", "to": "key" }] }),
        input,
        "{\"n\":2.50,\"key\":\"1\"}\n{\"n\":null,\"key\":\"2\"}\n",
    );
    gives(json!({ "to": "csv", "drop": ["id", 3] }), input, "Full name\n\"Ann, B\"\nCy\n");
    gives(json!({ "to": "csv", "rename": { "n": "a,b" }, "drop": [2] }), input, "id,\"a,b\"\n1,2.50\n2,\n");
    gives(json!({ "to": "csv", "header": false, "columns": ["column_2"] }), "a,b\nc,d\n", "b\nd\n");
}

#[test]
fn any_header_text_is_a_name() {
    let input = "\"a,b\",\"c:d\",\"e\"\"f\",\"g\nh\", i \n1,2,3,4,5\n";
    gives(
        json!({ "to": "jsonl", "columns": [" i ", "g\nh", "e\"f", "c:d", "a,b"] }),
        input,
        "{\" i \":\"5\",\"g\\nh\":\"4\",\"e\\\"f\":\"3\",\"c:d\":\"2\",\"a,b\":\"1\"}\n",
    );
    gives(json!({ "to": "csv" }), input, input);
}

#[test]
fn json_names_are_made_unique_and_csv_names_stay() {
    for (header, names) in [
        ("a,a,a", ["a", "a_2", "a_3"]),
        ("a,a_2,a", ["a", "a_2", "a_3"]),
        ("a,a,a_2", ["a", "a_3", "a_2"]),
        ("a,,", ["a", "column_2", "column_3"]),
        (",column_1,column_1", ["column_1_2", "column_1", "column_1_3"]),
    ] {
        let input = format!("{header}\n1,2,3\n");
        let [a, b, c] = names;
        gives(json!({ "to": "jsonl" }), &input, &format!("{{\"{a}\":\"1\",\"{b}\":\"2\",\"{c}\":\"3\"}}\n"));
        gives(json!({ "to": "csv" }), &input, &input);
    }
}

#[test]
fn columns_that_are_not_there_or_not_one_are_named() {
    let input = b"id,a,a,\n1,2,3,4\n";
    for (options, says) in [
        (json!({ "columns": ["x"] }), "no column \"x\": the file has \"id\", \"a\", \"a\", \"\""),
        (json!({ "columns": ["a"] }), "\"a\" stands over columns 2 and 3; use the number"),
        (json!({ "drop": ["a"] }), "use the number"),
        (json!({ "rename": { "a": "b" } }), "use the number"),
        (json!({ "rename": { "x": "b" } }), "no column \"x\""),
        (json!({ "columns": [5] }), "no column 5: the file has 4"),
        (json!({ "drop": [1, 2, 3, 4] }), "leaves no column"),
    ] {
        let mut options = options;
        options["to"] = "json".into();
        let error = fails(options, input);
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn a_few_long_names_cannot_be_multiplied_without_end() {
    let input = format!("{},b\n1,2\n", "x".repeat(1 << 20 >> 1));
    let columns = vec![json!(1); 16_384];
    let transform = prepared(&CsvTransform, &json!({ "to": "csv", "columns": columns }));
    let error = whole(&*transform, input.as_bytes()).map(drop).expect_err("too large").to_string();
    assert!(error.contains("names"), "{error}");
}

#[test]
fn a_header_too_long_for_a_note_makes_one_chunk() {
    let header = (0..10_000).map(|i| format!("a rather long name of column {i}")).collect::<Vec<_>>().join(",");
    let input = format!("{header}\n{}1\n", ",".repeat(9_999));
    let transform = prepared(&CsvTransform, &json!({ "to": "csv" }));
    let starts = |input: &str| {
        let limits = ChunkLimits { chunk_bytes: 1000, chunks_max: 10_000 };
        let plan = ChunkPlan::of(input.len() as u64, Cut::Surveyed, limits);
        transform.survey(&plan, &mut input.as_bytes()).expect("memory").starts.len()
    };
    assert_eq!(starts(&input), 1);
    assert_eq!(starts(&"1,2\n".repeat(2000)), 8);
    let ran = suite::chunked(&*transform, input.as_bytes(), 1000).expect("a result");
    assert!(ran.text() == input);
}

#[test]
fn options_that_do_not_hold_say_why() {
    for (options, says) in [
        (json!({ "to": "xml" }), "option \"to\""),
        (json!({ "to": "json", "delimiter": ",," }), "\"delimiter\""),
        (json!({ "to": "json", "delimiter": "é" }), "\"delimiter\""),
        (json!({ "to": "json", "delimiter": "\n" }), "\"delimiter\""),
        (json!({ "to": "json", "quote": "ab" }), "\"quote\""),
        (json!({ "to": "json", "delimiter": "'", "quote": "'" }), "same character"),
        (json!({ "to": "csv", "delimiter": "\"", "quote": "" }), "output_delimiter"),
        (json!({ "to": "csv", "output_delimiter": "\"" }), "output_delimiter"),
        (json!({ "to": "csv", "columns": [] }), "\"columns\" has 0 entries"),
        (json!({ "to": "csv", "columns": [{ "to": "x" }] }), "columns[0]"),
        (json!({ "to": "csv", "columns": [{ "from": "a", "typ": "text" }] }), "unknown option `typ`"),
        (json!({ "to": "csv", "columns": ["a", 0] }), "columns[1]"),
        (json!({ "to": "csv", "columns": ["a"], "drop": ["b"] }), "together"),
        (json!({ "to": "csv", "columns": ["a"], "rename": { "a": "b" } }), "together"),
        (json!({ "to": "csv", "rename": { "a": 1 } }), "\"rename\""),
        (json!({ "to": "csv", "types": "infer" }), "needs to = \"json\""),
        (json!({ "to": "json", "formula_guard": true }), "\"formula_guard\" needs to = \"csv\""),
        (json!({ "to": "jsonl", "line_end": "crlf" }), "needs to = \"csv\""),
    ] {
        let error = CsvTransform.prepare(options.as_object().expect("an object")).map(drop).expect_err("refused");
        assert!(error.contains(says), "{options}: {error}");
    }
}
