//! The demo: what a person sees who tries Filemill for the first time, and that it leaves nothing behind.

use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::tools::tool;
use filemill_e2e::{Ran, binary, http};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const GENERATED: &str = "uploads/generated.log";

/// What each rule makes of a sample: the program that unpacks it, or the result's file in `samples/expected`.
const RESULTS: &[(&str, &str, Right)] = &[
    ("inbox/members.csv", "csv-to-jsonl", Right::Is("members.jsonl")),
    ("inbox/orders.jsonl", "jsonl-to-csv", Right::Is("orders.csv")),
    ("inbox/cities.json", "json-to-jsonl", Right::Is("cities.jsonl")),
    ("inbox/readings.ndjson", "ndjson-to-json", Right::Is("readings.json")),
    ("inbox/shapes.bin", "checksums", Right::Is("shapes.bin.checksum.json")),
    ("inbox/notes/interview.md", "notes-to-html", Right::Is("notes/interview.html")),
    ("inbox/notes/interview.md", "notes-sentiment", Right::Is("notes/interview.sentiment.json")),
    ("inbox/notes/minutes.md", "notes-to-html", Right::Is("notes/minutes.html")),
    ("inbox/notes/minutes.md", "notes-sentiment", Right::Is("notes/minutes.sentiment.json")),
    ("inbox/notes/storm.md", "notes-to-html", Right::Is("notes/storm.html")),
    ("inbox/notes/storm.md", "notes-sentiment", Right::Is("notes/storm.sentiment.json")),
    ("inbox/backup.log", "logs-to-gzip", Right::Packed("gzip")),
    ("inbox/letter.txt", "texts-to-zstd", Right::Packed("zstd")),
    ("inbox/handbook.txt.gz", "gunzip", Right::Is("handbook.txt")),
    ("inbox/wheel.txt.zst", "unzstd", Right::Is("wheel.txt")),
    ("orders/notes.json", "zip", Right::Archive),
];

enum Right {
    Is(&'static str),
    Packed(&'static str),
    Archive,
}

fn samples_folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples"))
}

/// The samples by bucket and key.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let root = samples_folder();
    let (mut samples, mut folders) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned();
            let has_bucket = ["inbox/", "orders/"].iter().any(|bucket| name.starts_with(bucket));
            match path.is_dir() {
                true if name == "expected" => {}
                true => folders.push(path),
                false if name.starts_with('.') => {}
                false => {
                    let place = if has_bucket { name } else { format!("uploads/{name}") };
                    samples.insert(place, std::fs::read(path).expect("a sample"));
                }
            }
        }
    }
    samples
}

/// Inputs with their rules, as the demo must show them.
fn pairs() -> BTreeSet<(String, String)> {
    let samples = samples();
    let uploads = samples.keys().map(String::as_str).filter(|place| place.starts_with("uploads/")).chain([GENERATED]);
    let hello = uploads.map(|place| (place, "hello-lines"));
    let others = RESULTS.iter().map(|(place, rule, _)| (*place, *rule));
    for (place, ..) in RESULTS {
        assert!(samples.contains_key(*place), "{place}");
    }
    hello.chain(others).map(|(place, rule)| (place.to_owned(), rule.to_owned())).collect()
}

fn rejects(rule: &str) -> u64 {
    match rule {
        "csv-to-jsonl" => 2,
        "zip" => 1,
        _ => 0,
    }
}

fn demo(temporary: &Path, args: &[&str]) -> Ran {
    Ran::with(temporary, &[&["demo", "--once"], args].concat(), |command| {
        command.env("TMPDIR", temporary);
    })
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("a folder").next().is_none()
}

/// INPUT and RULE of a row, and the cells behind them. Only an input has spaces in it.
fn split(row: &str) -> (String, String, Vec<&str>) {
    let (input, rest) = row.split_once("  ").unwrap_or_else(|| panic!("{row}"));
    let mut cells = rest.split_whitespace();
    (input.to_owned(), cells.next().expect("a rule").to_owned(), cells.collect())
}

#[test]
fn a_row_for_each_sample_and_rule_and_one_for_a_large_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = demo(folder.path(), &[]).good().text();
    let mut lines = said.lines();
    let head: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["INPUT", "RULE", "SIZE", "CHUNKS", "TIME", "RESULT"]);
    let rows: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
    let shown: BTreeSet<_> = rows.iter().map(|row| split(row)).map(|(input, rule, _)| (input, rule)).collect();
    assert_eq!((shown, rows.len()), (pairs(), pairs().len()), "{said}");
    for row in rows {
        // SIZE UNIT CHUNKS TIME UNIT RESULT... LINK
        let (input, rule, cells) = split(row);
        let [size, _, chunks, time, _, verdict @ .., link] = &cells[..] else { panic!("{row}") };
        assert!(size.parse::<f64>().is_ok() && time.parse::<f64>().is_ok(), "{row}");
        assert_eq!(chunks.parse::<u32>().expect("a number") > 1, input == GENERATED, "{row}");
        let expected = match rejects(&rule) {
            0 => "exact".to_owned(),
            1 => "exact, 1 reject".to_owned(),
            n => format!("exact, {n} rejects"),
        };
        assert_eq!(verdict.join(" "), expected, "{row}");
        assert!(link.starts_with("http://127.0.0.1:") && link.contains("/results/"), "{row}");
    }
    let findings = lines.next().expect("findings");
    for tone in ["interview.md is POSITIVE", "minutes.md is NEUTRAL", "storm.md is NEGATIVE"] {
        assert!(findings.starts_with("Findings: ") && findings.contains(tone), "{findings}");
    }
    assert!(is_empty(folder.path()), "something is left of the demo");
}

#[test]
fn programs_get_the_same_as_json() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = demo(folder.path(), &["--json", "--size", "9MiB"]).good().json();
    let items = said["items"].as_array().expect("items");
    let mut sizes = samples().into_iter().map(|(key, content)| (key, content.len() as u64)).collect::<BTreeMap<_, _>>();
    sizes.insert(GENERATED.to_owned(), 9 << 20);
    let mut pairs = pairs();
    for item in items {
        let text = |name: &str| item[name].as_str().unwrap_or_else(|| panic!("{item}"));
        let place = format!("{}/{}", text("bucket"), text("key"));
        assert_eq!(item["size"].as_u64(), sizes.get(&place).copied(), "{item}");
        assert!(pairs.remove(&(place, text("rule").to_owned())), "{item}");
        assert_eq!(item["rejects"], rejects(text("rule")), "{item}");
        assert!(item["exact"] == true && item["status"] == "completed" && item["took_ms"].is_u64(), "{item}");
    }
    assert!(pairs.is_empty(), "{pairs:?}");
    demo(folder.path(), &["--size", "much"]).bad(2, &["--size", "much"]);
    assert!(is_empty(folder.path()), "something is left of the demo");
}

/// A demo that goes on. Ended with the test, however that ends.
struct Demo(Child);

impl Demo {
    fn start(temporary: &Path) -> Demo {
        let mut command = binary::command();
        command.args(["demo", "--size", "1MiB"]).env("TMPDIR", temporary).stdout(Stdio::piped()).stderr(Stdio::null());
        Demo(command.spawn().expect("the binary runs"))
    }

    fn lines(&mut self) -> impl Iterator<Item = String> + use<> {
        BufReader::new(self.0.stdout.take().expect("stdout is piped")).lines().map_while(Result::ok)
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, Signal::TERM).expect("a child of ours takes signals");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        self.0.wait().expect("a child of ours can be waited for");
    }
}

/// By other programs where it is packed.
fn check(place: &str, result: &[u8], sample: &[u8], right: &Right) {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(result).expect("writing a temporary file");
    let path = file.path().to_str().expect("UTF-8");
    match right {
        Right::Is(name) => {
            let expected = std::fs::read(samples_folder().join("expected").join(name)).expect("a right result");
            assert_same(place, result, &expected);
        }
        Right::Packed(program) => {
            let Some(program) = tool(program) else { return };
            let packed = std::fs::File::open(path).expect("a temporary file");
            let output = program.command().args(["-d", "-c"]).stdin(packed).output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_same(place, &output.stdout, sample);
        }
        Right::Archive => {
            let Some(python) = tool("python3") else { return };
            let unpacked = python.run(["-c", READ_ARCHIVE, path]);
            let notes = samples_folder().join("inbox/notes");
            let mut expected = String::new();
            for (name, note) in ARCHIVED {
                let content = std::fs::read_to_string(notes.join(note)).expect("a note");
                expected.push_str(&format!("{name}\n{content}"));
            }
            assert_same(place, unpacked.as_bytes(), expected.as_bytes());
        }
    }
}

/// Entries of the archive and the notes that they are.
const ARCHIVED: &[(&str, &str)] = &[
    ("2026/interview.md", "interview.md"),
    ("2026/Protokoll – Hof.md", "minutes.md"),
    ("storm.md", "storm.md"),
    ("storm (2).md", "storm.md"),
];

const READ_ARCHIVE: &str = "
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as archive:
    for entry in archive.infolist():
        sys.stdout.buffer.write(entry.filename.encode() + b'\\n' + archive.read(entry))
";

#[test]
fn it_stays_up_for_a_look_around_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = Demo::start(folder.path());
    let mut lines = demo.lines();
    let rows: Vec<String> = lines.by_ref().take_while(|line| !line.contains("stays up")).collect();
    let samples = samples();
    let link = |place: &str, rule: &str| {
        let cells = rows.iter().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let of_it = |cells: &Vec<&str>| cells.contains(&rule) && cells.join(" ").starts_with(place);
        let row = cells.into_iter().find(of_it).unwrap_or_else(|| panic!("no {place}: {rows:?}"));
        row.last().expect("a link").to_string()
    };
    let result = |place: &str, rule: &str| http::send("GET", &link(place, rule), &[], &[]).expect(200).body;
    for (place, content) in samples.iter().filter(|(place, _)| place.starts_with("uploads/")) {
        assert_same(place, &result(place, "hello-lines"), &sed(content));
    }
    for (place, rule, right) in RESULTS {
        check(place, &result(place, rule), &samples[*place], right);
    }
    demo.terminate();
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|line| line.contains("filemill put")), "{rest:?}");
    assert_eq!(demo.0.wait().expect("a child of ours can be waited for").code(), Some(0));
    assert!(is_empty(folder.path()), "something is left of the demo");
}
