//! Against other implementations: the `csv` crate reads the same records, serde_json gets the same values back.

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn dialect(delimiter: u8, quote: Option<u8>) -> ::csv::ReaderBuilder {
    let mut builder = ::csv::ReaderBuilder::new();
    builder
        .delimiter(delimiter)
        .quoting(quote.is_some())
        .quote(quote.unwrap_or(b'"'))
        .has_headers(false)
        .flexible(true);
    builder
}

fn reference(input: &[u8], delimiter: u8, quote: Option<u8>) -> Vec<Vec<Vec<u8>>> {
    let mut reader = dialect(delimiter, quote).from_reader(input);
    let records = reader.byte_records().map(|record| record.expect("any bytes are records"));
    records.map(|record| record.iter().map(<[u8]>::to_vec).collect()).collect()
}

/// Our own records, by way of all that lies between: the buffer, its blocks, the shapes of fields.
fn ours(input: &[u8], delimiter: u8, quote: Option<u8>) -> Result<Vec<Vec<Vec<u8>>>, String> {
    use crate::csv::{field, marks::Syntax, records::Records};
    let mut rest = input;
    let syntax = Syntax { delimiter, quote };
    let mut records = Records::new(&mut rest, syntax, filemill_core::chunks::Start::FIRST, 64);
    records.skip_bom().expect("memory");
    let mut found = Vec::new();
    while records.advance().map_err(|e| e.to_string())? {
        let record = records.current();
        let said = |index| field::content(record.field(index), quote, &mut Vec::new()).to_vec();
        found.push((0..record.len()).map(said).collect());
    }
    Ok(found)
}

/// Does the input end within quotes? The plainest way to know.
fn is_unclosed(input: &[u8], delimiter: u8, quote: Option<u8>) -> bool {
    let Some(quote) = quote else { return false };
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let (mut at, mut at_field_start) = (0, true);
    while at < input.len() {
        if at_field_start && input[at] == quote {
            loop {
                at += 1;
                match (input.get(at), input.get(at + 1)) {
                    (None, _) => return true,
                    (Some(a), Some(b)) if *a == quote && *b == quote => at += 1,
                    (Some(a), _) if *a == quote => break,
                    _ => {}
                }
            }
            at_field_start = false;
        } else {
            at_field_start = matches!(input[at], b'\r' | b'\n') || input[at] == delimiter;
        }
        at += 1;
    }
    false
}

fn agrees(input: &[u8], delimiter: u8, quote: Option<u8>) {
    let found = ours(input, delimiter, quote);
    if is_unclosed(input, delimiter, quote) {
        assert!(found.clone().is_err_and(|e| e.contains("no closing quote")), "{found:?}");
    } else {
        assert_eq!(found, Ok(reference(input, delimiter, quote)), "{:?}", String::from_utf8_lossy(input));
    }
}

/// Bytes that matter, and any; long enough for several blocks and buffers.
fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => Just(b'"'), 3 => Just(b','), 2 => Just(b'\n'), 1 => Just(b'\r'), 4 => Just(b'a'), 1 => Just(b'\''), 1 => any::<u8>()
    ];
    (prop_oneof![Just(&b""[..]), Just(&b"\xef\xbb\xbf"[..])], proptest::collection::vec(byte, 0..length))
        .prop_map(|(start, rest)| [start, &rest].concat())
}

/// Values as people have them, and as nobody should.
fn value() -> impl Strategy<Value = String> {
    let nasty = [
        "",
        "0",
        "007",
        "1.50",
        "12345678901234567890",
        "true",
        "NULL",
        "a\nb",
        "a\r\nb",
        "\"",
        "\"\"",
        ",",
        "=1",
        " ",
        "\u{feff}",
        "é€",
        "'",
        "\\",
        "\u{0}\u{1f}",
        "1e5",
    ];
    prop_oneof![proptest::sample::select(nasty.to_vec()).prop_map(str::to_owned), "\\PC{0,12}", ".{0,70}"]
}

fn tables() -> impl Strategy<Value = Vec<Vec<String>>> {
    (1usize..6).prop_flat_map(|width| proptest::collection::vec(proptest::collection::vec(value(), width), 1..12))
}

fn written(table: &[Vec<String>], quotes_all: bool) -> Vec<u8> {
    let style = if quotes_all { ::csv::QuoteStyle::Always } else { ::csv::QuoteStyle::Necessary };
    let mut writer = ::csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    table.iter().for_each(|record| writer.write_record(record).expect("memory"));
    let text = writer.into_inner().expect("memory");
    // a mark at the start of a file is none of the first cell's
    [b"\xef\xbb\xbf", &text[..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_the_records_of_the_csv_crate(input in bytes(300)) {
        agrees(&input, b',', Some(b'"'));
        agrees(&input, b'a', Some(b'\''));
        agrees(&input, b',', None);
    }
}

proptest! {
    #[test]
    fn tables_come_back_from_json_lines_and_arrays_as_they_were(table in tables(), quotes_all: bool, chunk_bytes in 1u64..400) {
        let input = written(&table, quotes_all);
        let records: Vec<HashMap<String, String>> = table[1..]
            .iter()
            .map(|record| (1..).map(|number| format!("column_{number}")).zip(record.iter().cloned()).collect())
            .collect();
        let lines = suite::chunked(&*prepared(&CsvTransform, &json!({ "to": "jsonl", "header": false })), &input, chunk_bytes)
            .expect("a result");
        let found: Vec<HashMap<String, String>> = lines.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        prop_assert_eq!(&found[1..], &records[..]);
        let array = suite::chunked(&*prepared(&CsvTransform, &json!({ "to": "json", "header": false })), &input, chunk_bytes)
            .expect("a result");
        let found: Vec<HashMap<String, String>> = serde_json::from_slice(&array.output).expect("JSON");
        prop_assert_eq!(&found[1..], &records[..]);
    }

    #[test]
    fn json_keys_are_the_header_and_keep_their_order(table in tables()) {
        let ran = whole(&*prepared(&CsvTransform, &json!({ "to": "jsonl" })), &written(&table, false)).expect("a result");
        for (line, record) in ran.text().lines().zip(&table[1..]) {
            let object: serde_json::Map<String, Value> = serde_json::from_str(line).expect("JSON");
            prop_assert_eq!(object.len(), record.len());
            for ((key, value), (name, cell)) in object.iter().zip(table[0].iter().zip(record)) {
                prop_assert!(key == name || name.is_empty() || key.starts_with(&format!("{name}_")), "{} {}", key, name);
                prop_assert_eq!(value, cell);
            }
        }
    }

    #[test]
    fn csv_to_csv_says_the_same_in_any_dialect(
        table in tables(),
        quotes_all: bool,
        delimiter in proptest::sample::select(vec![",", ";", "\t", "a", "1"]),
        guard: bool,
        chunk_bytes in 1u64..400,
    ) {
        let options = json!({ "to": "csv", "output_delimiter": delimiter, "formula_guard": guard });
        let ran = suite::chunked(&*prepared(&CsvTransform, &options), &written(&table, quotes_all), chunk_bytes).expect("a result");
        let expected: Vec<Vec<Vec<u8>>> = table
            .iter()
            .map(|record| record.iter().map(|cell| {
                let is_formula = guard && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\0']);
                if is_formula { format!("'{cell}").into_bytes() } else { cell.clone().into_bytes() }
            }).collect())
            .collect();
        prop_assert_eq!(reference(&ran.output, delimiter.as_bytes()[0], Some(b'"')), expected);
    }

    #[test]
    fn inferred_values_keep_their_text(table in tables()) {
        let options = json!({ "to": "jsonl", "header": false, "types": "infer" });
        let ran = whole(&*prepared(&CsvTransform, &options), &written(&table, false)).expect("a result");
        for (line, record) in ran.text().lines().zip(&table) {
            let pairs = record.iter().enumerate().map(|(index, cell)| {
                let is_bare = matches!(cell.as_str(), "true" | "false")
                    || (cell.trim() == cell && serde_json::from_str::<serde_json::Number>(cell).is_ok());
                let value = if is_bare { cell.clone() } else { serde_json::to_string(cell).expect("JSON") };
                format!("\"column_{}\":{value}", index + 1)
            });
            prop_assert_eq!(line, format!("{{{}}}", pairs.collect::<Vec<_>>().join(",")));
        }
    }

    #[test]
    fn any_bytes_cut_anywhere_give_the_one_pass_result(input in bytes(700), chunk_bytes in 1u64..300, to in 0usize..3) {
        let to = ["csv", "json", "jsonl"][to];
        let options = json!({ "to": to, "ragged": "reject", "on_bad_record": "reject" });
        let transform = prepared(&CsvTransform, &options);
        let cut = suite::chunked(&*transform, &input, chunk_bytes).map(|ran| (ran.output, ran.rejects, ran.records));
        let whole = whole(&*transform, &input).map(|ran| (ran.output, ran.rejects, ran.records));
        prop_assert_eq!(cut.map_err(|e| e.to_string()), whole.map_err(|e| e.to_string()));
    }
}

/// Quotes, line ends and field starts at each place of a block, and of the buffer.
#[test]
fn every_place_of_a_block_and_of_the_buffer_is_read_alike() {
    let pieces = ["\"\"", "\"a\"", "\"\n\"", "\"a\"\"b\"", "\r\n", "\n\"", ",", "\",\"", "a\"b\"", "\"a\"b"];
    for near in [0, 64, 128, filemill_core::limits::IO_BLOCK_BYTES] {
        for piece in pieces {
            for shift in 0..66 {
                let input = format!("{}\n{piece},x\n\"y\",{piece}", "z".repeat((near + shift).saturating_sub(33)));
                agrees(input.as_bytes(), b',', Some(b'"'));
            }
        }
    }
}

/// Several buffers of the survey, with borders wherever; some of the file's quotes lie over the ends of buffers.
#[test]
fn a_file_of_many_buffers_is_the_same_however_it_is_cut() {
    let mut input = b"id,text,more\r\n".to_vec();
    for id in 0..12_000 {
        let fill = "x".repeat(id * 7919 % 130);
        let line = match id % 5 {
            0 => format!("{id},\"{fill}\r\n\"\"{fill}\"\"\",\"\"\r\n"),
            1 => format!("{id},\"{fill},\n{fill}\",y\"z\r\n"),
            2 => format!("{id},{fill}\n"),
            _ => format!("{id},{fill},é\r\n\r\n"),
        };
        input.extend_from_slice(line.as_bytes());
    }
    assert!(input.len() > 4 * filemill_core::limits::IO_BLOCK_BYTES);
    let records = reference(&input, b',', Some(b'"'));
    for to in ["csv", "json", "jsonl"] {
        let transform = prepared(&CsvTransform, &json!({ "to": to, "ragged": "reject" }));
        let expected = whole(&*transform, &input).expect("a result");
        assert_eq!(expected.records as usize, records.len() - 1);
        for chunk_bytes in [65_536, 100_003, 262_144, 700_001] {
            let ran = suite::chunked(&*transform, &input, chunk_bytes).expect("a result");
            assert!(ran.output == expected.output && ran.rejects == expected.rejects, "{to} {chunk_bytes}");
            assert_eq!(ran.records, expected.records);
        }
        if to == "csv" {
            let good: Vec<_> = records.iter().filter(|record| record.len() == 3).cloned().collect();
            assert!(reference(&expected.output, b',', Some(b'"')) == good);
        }
    }
}

/// The survey counts lines buffer by buffer; a CRLF over the end of one is one line all the same.
#[test]
fn a_line_end_over_the_end_of_a_buffer_is_one_line() {
    let transform = prepared(&CsvTransform, &json!({ "to": "csv", "ragged": "reject" }));
    for (missing, header) in (0..4).flat_map(|missing| [(missing, "a\n"), (missing, "a\r\n")]) {
        let long = "x".repeat(filemill_core::limits::IO_BLOCK_BYTES - missing);
        let input = format!("{header}{long}\r\n1\r\n2,2\r\n3\r\n");
        let rejects = whole(&*transform, input.as_bytes()).expect("a result").rejects;
        for chunk_bytes in [3, 4, 200_000, long.len() as u64 + 4] {
            let ran = suite::chunked(&*transform, input.as_bytes(), chunk_bytes).expect("a result");
            assert_eq!(
                String::from_utf8_lossy(&ran.rejects),
                String::from_utf8_lossy(&rejects),
                "{missing} {chunk_bytes}"
            );
        }
    }
}
