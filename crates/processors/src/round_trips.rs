//! What one processor writes, another reads back: CSV to JSON Lines and back is the same table, record by record.

use crate::csv::CsvTransform;
use crate::json::JsonToCsv;
use crate::suite;
use proptest::prelude::*;
use serde_json::json;

type Table = Vec<Vec<String>>;

fn written(table: &Table) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().flexible(false).from_writer(Vec::new());
    table.iter().for_each(|row| writer.write_record(row).expect("memory"));
    writer.into_inner().expect("memory")
}

fn read(bytes: &[u8]) -> Table {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    let records = reader.records().map(|record| record.expect("CSV"));
    records.map(|record| record.iter().map(str::to_owned).collect()).collect()
}

fn there_and_back(table: &Table, chunk_bytes: u64) -> Table {
    let there = suite::prepared(&CsvTransform, &json!({ "to": "jsonl" }));
    let lines = suite::chunked(&*there, &written(table), chunk_bytes).expect("JSON Lines").output;
    // a name with a dot is a name, not a path
    let back = suite::prepared(&JsonToCsv, &json!({ "from": "lines", "separator": "\u{1}" }));
    read(&suite::chunked(&*back, &lines, chunk_bytes).expect("CSV").output)
}

#[test]
fn nasty_tables_come_back_as_they_were() {
    let fields = [
        "007",
        "",
        "1.50",
        "12345678901234567890",
        "a,b",
        "say \"hi\"",
        "two\nlines",
        "crlf\r\ninside",
        "true",
        "NULL",
        "=1+1",
        " spaced ",
        "é",
        "\u{feff}",
        "\0",
        "\\",
        "{}",
        "1e5",
    ];
    let header: Vec<String> = ["id", "a,b", "c:d", "e\"f", "g\nh", "i.j"].map(str::to_owned).to_vec();
    for shift in 0..fields.len() {
        let row = |n: usize| (0..header.len()).map(|i| fields[(n + i * shift) % fields.len()].to_owned()).collect();
        let table: Table = [vec![header.clone()], (0..20).map(row).collect()].concat();
        for chunk_bytes in [1, 50, 1 << 20] {
            assert_eq!(there_and_back(&table, chunk_bytes), table);
        }
    }
}

proptest! {
    #[test]
    fn any_table_comes_back_as_it_was(
        rows in proptest::collection::vec(proptest::collection::vec("[a-c,;:\"\\\\\r\n =0-9é{}]{0,6}", 3), 1..12),
        chunk_bytes in 1u64..200,
    ) {
        let header: Vec<String> = ["x", "y y", "z,\""].map(str::to_owned).to_vec();
        let table: Table = [vec![header], rows].concat();
        prop_assert_eq!(there_and_back(&table, chunk_bytes), table);
    }
}
