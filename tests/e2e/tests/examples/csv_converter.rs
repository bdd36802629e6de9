//! CSV and JSON into one another: mappings of one upload, values that stay as they are, bad records set aside.

use filemill_e2e::reference::assert_same;
use filemill_e2e::{Example, Service};
use serde_json::{Value, json};

/// What `people.csv` is as JSON: every value the text that it was, a name for the column that has none.
const PEOPLE: &str = r#"[
{"Name, full":"Ng, Ann","Time: start":"09:30","Said \"hi\"?":"yes","Number":"007","column_5":"a"},
{"Name, full":"Zoë","Time: start":"10:00","Said \"hi\"?":"no,\r\nbut \"hello\"","Number":"12345678901234567890","column_5":""},
{"Name, full":"Bo","Time: start":"11:15","Said \"hi\"?":"=1+1","Number":"","column_5":"c"}
]
"#;

/// Re-ordered, renamed, one dropped; line ends of the input; a quote before what a spreadsheet would run.
const MAPPED: &str = "start,name,\"greeting, if any\",Number\r\n\
    09:30,\"Ng, Ann\",yes,007\r\n\
    10:00,Zoë,\"no,\r\nbut \"\"hello\"\"\",12345678901234567890\r\n\
    11:15,Bo,'=1+1,\r\n";

const RAGGED: &str =
    "[\n{\"id\":\"1\",\"name\":\"Ann\"},\n{\"id\":\"3\",\"name\":\"Cy\"},\n{\"id\":\"5\",\"name\":\"Ed\"}\n]\n";

/// The records of `people.jsonl` in the plainest way.
fn people_from_jsonl() -> String {
    let row = |id: u32| match id {
        4 => "4,\"a \"\"quoted\"\", name\",Köln,01067,1.50\n".to_owned(),
        7 => String::new(),
        id => format!("{id},n{id},Ulm,,\n"),
    };
    format!("id,name,at.city,at.zip,price\n{}", (1..=11).map(row).collect::<String>())
}

fn rejects(lines: &[u8]) -> Vec<(u64, u64, String)> {
    let lines = std::str::from_utf8(lines).expect("text").lines();
    let reject = |line| {
        let reject: Value = serde_json::from_str(line).expect("a line of JSON");
        assert!(reject["reason"].as_str().is_some_and(|reason| reason.contains("where 2 are expected")), "{reject}");
        let number = |name: &str| reject[name].as_u64().expect("a number");
        (number("line"), number("byte"), reject["record"].as_str().expect("a record").to_owned())
    };
    lines.map(reject).collect()
}

fn rejected(found: &[(u64, u64, &str)]) -> Vec<(u64, u64, String)> {
    found.iter().map(|(line, byte, record)| (*line, *byte, (*record).to_owned())).collect()
}

#[test]
fn tables_are_converted_and_bad_records_are_set_aside() {
    let Some(example) = Example::walked("csv-converter") else { return };
    assert_same("CSV to JSON", &example.file("people.json"), PEOPLE.as_bytes());
    serde_json::from_slice::<Value>(&example.file("people.json")).expect("JSON for others too");
    assert_same("CSV to CSV", &example.file("people-mapped.csv"), MAPPED.as_bytes());
    assert_same("JSON Lines to CSV", &example.file("people-from-jsonl.csv"), people_from_jsonl().as_bytes());
    assert_eq!(rejects(&example.file("ragged.rejects.jsonl")), rejected(&[(3, 14, "2"), (5, 21, "4,Di,?")]));
    assert_eq!(rejects(&example.file("broken.rejects.jsonl")), rejected(&[(2, 8, "1"), (3, 10, "2"), (4, 12, "3")]));

    assert!(example.said.contains("3 of 4 records were rejected"), "{}", example.said);
    assert!(example.said.ends_with("ended with 1\n"), "{}", example.said);

    let service = &example.stage.service;
    let ragged = service.ended_job("tables", "bad/ragged.csv").expect_completed();
    assert_eq!((&ragged.0["records"], &ragged.0["rejects"]), (&json!(5), &json!(2)));
    assert_same("what is left", &service.result(&ragged), RAGGED.as_bytes());
    let broken = service.ended_job("tables", "bad/broken.csv");
    assert_eq!((broken.status(), &broken.0["failure"]["code"]), ("failed", &json!("too_many_rejects")), "{}", broken.0);
    service.get(&format!("/v1/jobs/{}/result", broken.id())).expect_problem(409, "no_result");
    let lines = service.ended_job("tables", "plain/people.jsonl").expect_completed();
    assert_eq!((&lines.0["records"], &lines.0["rejects"]), (&json!(11), &json!(1)));
    example.stage.service.stop();
}

/// Uploads by a link that was asked for with these options.
fn convert(service: &Service, rule: &str, options: &Value, content: &[u8]) -> filemill_e2e::Job {
    let upload = service.new_upload(&json!({ "filename": "t.csv", "rule": rule, "options": options }));
    service.send_upload(&upload, content).expect(200);
    service.ended_job_of_upload(&upload)
}

#[test]
fn a_mapping_is_of_its_upload_alone_and_of_any_length() {
    let example = Example::open("csv-converter");
    let service = &example.stage.service;
    let names: Vec<String> = (0..2000).map(|n| format!("a \"long\": name, the {n}th")).collect();
    let quoted = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
    let header: Vec<String> = names.iter().map(quoted).collect();
    let rows: Vec<Vec<String>> =
        (0..300).map(|row| (0..names.len()).map(|n| format!("{}", row * n)).collect()).collect();
    let table = |rows: Vec<Vec<String>>| rows.iter().map(|row| row.join(",") + "\n").collect::<String>();
    let input = table(std::iter::once(header).chain(rows.iter().cloned()).collect());

    let columns: Vec<Value> =
        names.iter().enumerate().rev().map(|(n, name)| json!({ "from": name, "to": format!("c{n}") })).collect();
    let job = convert(service, "csv-to-csv", &json!({ "columns": columns }), input.as_bytes()).expect_completed();
    let renamed = (0..names.len()).rev().map(|n| format!("c{n}")).collect();
    let turned = rows.iter().map(|row| row.iter().rev().cloned().collect());
    let expected = table(std::iter::once(renamed).chain(turned).collect());
    assert_same("the mapped table", &service.result(&job), expected.as_bytes());

    let plain = convert(service, "csv-to-csv", &json!({}), input.as_bytes()).expect_completed();
    assert_same("without a mapping", &service.result(&plain), input.as_bytes());

    let typed = json!({ "columns": ["id", { "from": "n", "type": "number" }] });
    let job = convert(service, "csv-to-json", &typed, b"id,n\n01,1.50\n02,x\n03,\n").expect_completed();
    let expected = "[\n{\"id\":\"01\",\"n\":1.50},\n{\"id\":\"03\",\"n\":null}\n]\n";
    assert_same("with types", &service.result(&job), expected.as_bytes());
    assert_eq!(job.0["rejects"], 1);

    let unknown = convert(service, "csv-to-csv", &json!({ "columns": ["no such"] }), b"id,n\n1,2\n");
    assert_eq!(unknown.0["failure"]["code"], "input_invalid", "{}", unknown.0);
    for options in [json!({ "columns": [] }), json!({ "colums": ["a"] }), json!({ "delimiter": ",," })] {
        let wish = json!({ "filename": "t.csv", "rule": "csv-to-csv", "options": options });
        let problem = service.post("/v1/uploads", &wish).expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], "options", "{problem}");
    }
    example.stage.service.stop();
}
