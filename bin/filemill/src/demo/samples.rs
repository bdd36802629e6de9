//! The files of `samples/`, inside the binary, so that the demo runs from anywhere; and what must become of each.
//!
//! The right results lie in `samples/expected`, under the keys that they have in the bucket `results`. They were checked
//! with other tools. Where a compressor may find other words for the same bytes, what counts is what unpacking gives.

macro_rules! bytes {
    ($path:literal) => {
        include_bytes!(concat!("../../../../samples/", $path)).as_slice()
    };
}

/// A file and the results of all rules that it starts.
pub struct Sample {
    pub bucket: &'static str,
    pub key: &'static str,
    pub content: &'static [u8],
    pub results: Vec<Expected>,
    /// Keys of samples that must have arrived before.
    pub after: &'static [&'static str],
}

pub struct Expected {
    pub rule: &'static str,
    pub right: Right,
    /// The file of rejects; empty if there are none.
    pub rejects: &'static [u8],
}

/// When a result is exactly right.
pub enum Right {
    /// The starter rule's text is before each line.
    Prefixed,
    Bytes(&'static [u8]),
    /// Gunzip gives these bytes.
    Gzip(&'static [u8]),
    Zstd(&'static [u8]),
    /// The entries in their order.
    Zip(&'static [(&'static str, &'static [u8])]),
}

pub fn all() -> Vec<Sample> {
    let mut all = hello_lines();
    all.extend(data_files());
    all.extend(NOTES.iter().map(Note::sample));
    all.extend(packed_files());
    all.push(order());
    all
}

fn hello_lines() -> Vec<Sample> {
    let sample = |key, content| Sample { bucket: "uploads", ..sample(key, content, vec![prefixed()]) };
    vec![
        sample("access.log", bytes!("access.log")),
        sample("windows-report.txt", bytes!("windows-report.txt")),
        sample("blank-lines.txt", bytes!("blank-lines.txt")),
        sample("notes/Überblick 2026 – final.txt", bytes!("notes/Überblick 2026 – final.txt")),
        sample("empty.txt", bytes!("empty.txt")),
        sample("no-final-newline.txt", bytes!("no-final-newline.txt")),
        sample("logs/mixed.log", bytes!("logs/mixed.log")),
    ]
}

fn data_files() -> Vec<Sample> {
    let rejects = bytes!("expected/members.jsonl.rejects.jsonl");
    let members = Expected { rejects, ..gives("csv-to-jsonl", Right::Bytes(bytes!("expected/members.jsonl"))) };
    let one = |key, content, rule, right| sample(key, content, vec![gives(rule, Right::Bytes(right))]);
    vec![
        sample("members.csv", bytes!("inbox/members.csv"), vec![members]),
        one("orders.jsonl", bytes!("inbox/orders.jsonl"), "jsonl-to-csv", bytes!("expected/orders.csv")),
        one("cities.json", bytes!("inbox/cities.json"), "json-to-jsonl", bytes!("expected/cities.jsonl")),
        one("readings.ndjson", bytes!("inbox/readings.ndjson"), "ndjson-to-json", bytes!("expected/readings.json")),
        one("shapes.bin", bytes!("inbox/shapes.bin"), "checksums", bytes!("expected/shapes.bin.checksum.json")),
    ]
}

/// Two rules from one event.
struct Note {
    key: &'static str,
    text: &'static [u8],
    html: &'static [u8],
    sentiment: &'static [u8],
}

const NOTES: &[Note] = &[
    Note {
        key: "notes/interview.md",
        text: bytes!("inbox/notes/interview.md"),
        html: bytes!("expected/notes/interview.html"),
        sentiment: bytes!("expected/notes/interview.sentiment.json"),
    },
    Note {
        key: "notes/minutes.md",
        text: bytes!("inbox/notes/minutes.md"),
        html: bytes!("expected/notes/minutes.html"),
        sentiment: bytes!("expected/notes/minutes.sentiment.json"),
    },
    Note {
        key: "notes/storm.md",
        text: bytes!("inbox/notes/storm.md"),
        html: bytes!("expected/notes/storm.html"),
        sentiment: bytes!("expected/notes/storm.sentiment.json"),
    },
];

impl Note {
    fn sample(&self) -> Sample {
        let html = gives("notes-to-html", Right::Bytes(self.html));
        let sentiment = gives("notes-sentiment", Right::Bytes(self.sentiment));
        sample(self.key, self.text, vec![html, sentiment])
    }
}

fn packed_files() -> Vec<Sample> {
    let one = |key, content, rule, right| sample(key, content, vec![gives(rule, right)]);
    let (log, letter) = (bytes!("inbox/backup.log"), bytes!("inbox/letter.txt"));
    let (handbook, wheel) = (bytes!("expected/handbook.txt"), bytes!("expected/wheel.txt"));
    vec![
        one("backup.log", log, "logs-to-gzip", Right::Gzip(log)),
        one("letter.txt", letter, "texts-to-zstd", Right::Zstd(letter)),
        one("handbook.txt.gz", bytes!("inbox/handbook.txt.gz"), "gunzip", Right::Bytes(handbook)),
        one("wheel.txt.zst", bytes!("inbox/wheel.txt.zst"), "unzstd", Right::Bytes(wheel)),
    ]
}

/// The notes in one archive: into a folder, renamed, out of the archive's root, twice under one name, and not there.
fn order() -> Sample {
    const ENTRIES: &[(&str, &[u8])] = &[
        ("2026/interview.md", NOTES[0].text),
        ("2026/Protokoll – Hof.md", NOTES[1].text),
        ("storm.md", NOTES[2].text),
        ("storm (2).md", NOTES[2].text),
    ];
    let rejects = bytes!("expected/notes.zip.rejects.jsonl");
    let archive = Expected { rejects, ..gives("zip", Right::Zip(ENTRIES)) };
    let sample = sample("notes.json", bytes!("orders/notes.json"), vec![archive]);
    Sample { bucket: "orders", after: &["notes/interview.md", "notes/minutes.md", "notes/storm.md"], ..sample }
}

fn sample(key: &'static str, content: &'static [u8], results: Vec<Expected>) -> Sample {
    Sample { bucket: "inbox", key, content, results, after: &[] }
}

pub fn prefixed() -> Expected {
    gives("hello-lines", Right::Prefixed)
}

fn gives(rule: &'static str, right: Right) -> Expected {
    Expected { rule, right, rejects: b"" }
}

#[cfg(test)]
mod tests;
