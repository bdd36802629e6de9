//! Archives read back by two other implementations: the `zip` crate, and Python's zipfile where there is a Python.

use super::*;
use crate::compress::tests::python;
use crate::suite::{self, Ran, Shelf};
use filemill_core::ports::{Pulse, RejectSink, SourceInfo, SourceName, Sources};
use filemill_core::reject::Reject;
use proptest::prelude::*;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use zip::{CompressionMethod, ZipArchive};

const PLAIN: Archiving = Archiving { choice: Choice::Auto, level: 6, on_missing: OnMissing::Fail, threads: 2 };

fn shelf(objects: &[(&str, &[u8])]) -> Shelf {
    Shelf(objects.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect())
}

fn archived(archiving: &Archiving, manifest: &Value, shelf: &Shelf) -> Result<Ran, ProcessError> {
    let mut ran = Ran::default();
    let facts = InputFacts { key: "manifest.json", size: u64::MAX, content_type: None, etag: None };
    suite::run_chunk(archiving, &Chunk::whole(facts), manifest.to_string().as_bytes(), shelf, &mut ran)?;
    Ok(ran)
}

fn failure(archiving: &Archiving, manifest: &Value, shelf: &Shelf) -> (String, String) {
    match archived(archiving, manifest, shelf).expect_err("refused") {
        ProcessError::Failed(e) => (e.code, e.message),
        ProcessError::Io(e) => panic!("{e}"),
    }
}

fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>, CompressionMethod)> {
    let mut archive = ZipArchive::new(Cursor::new(archive)).expect("an archive in order");
    let count = archive.len();
    let read = |index| {
        let mut file = archive.by_index(index).expect("an entry");
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("content as its checksum says");
        (file.name().expect("UTF-8").into_owned(), content, file.compression())
    };
    (0..count).map(read).collect()
}

/// Python reads the whole and verifies each checksum; `None` where there is none.
fn python_names(archive: &[u8]) -> Option<Vec<(String, u64)>> {
    let script = "import io,json,sys,zipfile\n\
        z=zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))\n\
        assert z.testzip() is None\n\
        print(json.dumps([(i.filename,len(z.read(i))) for i in z.infolist()]))";
    python(script, &[], archive).map(|out| serde_json::from_slice(&out).expect("a list"))
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

fn text(bytes: usize) -> Vec<u8> {
    (0..).flat_map(|n: u64| format!("{n} line of a log {}\n", n * n % 977).into_bytes()).take(bytes).collect()
}

/// Every way that content can go into an archive.
fn mixed() -> (Value, Shelf) {
    let (noise, text) = (noise(1_800_000), text(1_800_000));
    let objects = shelf(&[
        ("empty", b""),
        ("one", b"1"),
        ("short.txt", &text[..10_000]),
        ("short.bin", &noise[..10_000]),
        ("sampled.txt", &text[..900_000]),
        ("sampled.bin", &noise[..900_000]),
        ("border", &text[..1 << 20]),
        ("long.txt", &text),
        ("long.bin", &noise),
        ("folder/", b""),
        ("größe/日本.txt", &text[..100]),
    ]);
    let files: Vec<Value> = objects.0.keys().map(|key| json!({ "source": key, "destination": "in/" })).collect();
    (json!({ "files": files, "name": "all of it", "metadata": { "for": ["me"] } }), objects)
}

#[test]
fn every_kind_of_content_comes_back_in_order() {
    let (manifest, objects) = mixed();
    for choice in [Choice::Auto, Choice::Deflate, Choice::Store] {
        let ran = archived(&Archiving { choice, ..PLAIN }, &manifest, &objects).expect("an archive");
        let found = entries(&ran.output);
        assert_eq!(found.len(), objects.0.len());
        for ((name, content, _), (key, expected)) in found.iter().zip(&objects.0) {
            let own = key.trim_end_matches('/').rsplit('/').next().expect("a name");
            let expected_name = if key.ends_with('/') { format!("in/{own}/") } else { format!("in/{own}") };
            assert_eq!(name, &expected_name);
            assert!(content == expected, "{choice:?} {name}");
        }
        if let Some(seen) = python_names(&ran.output) {
            let expected: Vec<_> =
                found.iter().map(|(name, content, _)| (name.clone(), content.len() as u64)).collect();
            assert_eq!(seen, expected);
        }
        let figure = |name: &str| ran.summary[name].as_u64().expect("a number");
        assert_eq!((figure("entries"), figure("stored") + figure("deflated")), (11, 10));
        assert_eq!(figure("bytes"), objects.0.values().map(|o| o.len() as u64).sum::<u64>());
        assert_eq!((ran.records, figure("renamed"), figure("skipped")), (11, 0, 0));
        assert_eq!(ran.report.filename.as_deref(), Some("all of it.zip"));
        assert_eq!(ran.report.metadata, *json!({ "for": ["me"] }).as_object().expect("an object"));
    }
}

/// Without the directory at the end: what stands in front of each short entry is all that such a reader has.
#[test]
fn short_entries_are_read_from_a_stream_too() {
    let (noise, text) = (noise(100_000), text(100_000));
    let objects = shelf(&[("a.bin", &noise), ("b.txt", &text), ("c", b""), ("é", b"1")]);
    let files: Vec<Value> = objects.0.keys().map(|key| json!({ "source": key })).collect();
    let ran = archived(&PLAIN, &json!({ "files": files }), &objects).expect("an archive");
    let mut rest = &ran.output[..];
    for (key, expected) in &objects.0 {
        let mut file = zip::read::read_zipfile_from_stream(&mut rest).expect("in order").expect("an entry");
        let mut content = Vec::new();
        file.read_to_end(&mut content).expect("content as its checksum says");
        assert!(content == *expected && file.name().expect("UTF-8") == *key, "{key}");
    }
}

/// Readers of streams learn of a long entry's checksum and sizes from what stands behind it.
#[test]
fn what_stands_behind_a_long_entry_is_what_the_directory_says() {
    for choice in [Choice::Deflate, Choice::Store] {
        let objects = shelf(&[("long", &text(1_800_000))]);
        let manifest = json!({ "files": [{ "source": "long" }] });
        let ran = archived(&Archiving { choice, ..PLAIN }, &manifest, &objects).expect("an archive");
        let u32_at = |at: usize| u32::from_le_bytes(ran.output[at..at + 4].try_into().expect("four bytes"));
        let directory = u32_at(ran.output.len() - 6) as usize;
        let behind = [16, 12, 8, 4].map(|back| u32_at(directory - back));
        let mut archive = ZipArchive::new(Cursor::new(&ran.output)).expect("an archive in order");
        let file = archive.by_index(0).expect("an entry");
        assert_eq!(behind, [0x0807_4b50, file.crc32(), file.compressed_size() as u32, 1_800_000]);
    }
}

#[test]
fn what_does_not_shrink_is_stored_unless_asked_otherwise() {
    let (manifest, objects) = mixed();
    let stored = |choice| {
        let ran = archived(&Archiving { choice, ..PLAIN }, &manifest, &objects).expect("an archive");
        (ran.summary["stored"].as_u64(), ran.output.len())
    };
    let (auto, deflate, store) = (stored(Choice::Auto), stored(Choice::Deflate), stored(Choice::Store));
    // empty, one, short.bin, sampled.bin, long.bin
    assert_eq!((auto.0, deflate.0, store.0), (Some(5), Some(1), Some(10)));
    assert!(auto.1 <= deflate.1 + 1000 && deflate.1 < store.1);
    let ran = archived(&PLAIN, &manifest, &objects).expect("an archive");
    for (name, _, method) in entries(&ran.output) {
        // what readers of streams cannot take stored goes as deflate's own stored blocks
        let is_stored = ["in/empty", "in/one", "in/short.bin", "in/sampled.bin", "in/folder/"].contains(&&*name);
        assert_eq!(method == CompressionMethod::Stored, is_stored, "{name}");
    }
}

#[test]
fn the_same_bytes_come_from_any_number_of_threads() {
    let (manifest, objects) = mixed();
    let run = |threads| archived(&Archiving { threads, ..PLAIN }, &manifest, &objects).expect("an archive");
    let expected = run(1);
    for threads in [2, 3, 8, 2] {
        assert!(run(threads) == expected, "{threads} threads");
    }
}

#[test]
fn names_are_made_safe_and_unique_and_counted() {
    let objects = shelf(&[("a/x.txt", b"1"), ("b/x.txt", b"2"), ("c\u{301}", b"3")]);
    let manifest = json!({ "files": [
        { "source": "a/x.txt" },
        { "source": "b/x.txt" },
        { "source": "a/x.txt", "destination": "../../etc/passwd" },
        { "source": "a/x.txt", "destination": "C:\\tmp\\é.txt" },
        { "source": "c\u{301}", "destination": "X.TXT/" },
    ] });
    let ran = archived(&PLAIN, &manifest, &objects).expect("an archive");
    let names: Vec<_> = entries(&ran.output).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, ["x.txt", "x (2).txt", "etc/passwd", "tmp/é.txt", "X.TXT (2)/c\u{301}"]);
    assert_eq!(ran.summary["renamed"], 4);
    assert_eq!(ran.report.filename, None);
    if let Some(seen) = python_names(&ran.output) {
        assert_eq!(seen.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
    }
}

#[test]
fn a_missing_source_fails_and_is_named() {
    let manifest = json!({ "files": [{ "source": "there" }, { "source": "s3://other/gone" }, { "source": "gone" }] });
    let (code, message) = failure(&PLAIN, &manifest, &shelf(&[("there", b"1")]));
    assert_eq!(code, "source_missing");
    assert_eq!(message, "entry 2: \"s3://other/gone\": it is not there, or it is not for you");
}

#[test]
fn missing_sources_are_left_out_and_listed_if_so_asked() {
    let skipping = Archiving { on_missing: OnMissing::Skip, ..PLAIN };
    let manifest = json!({ "files": [{ "source": "gone" }, { "source": "there" }, { "source": "s3://other/gone" }] });
    let ran = archived(&skipping, &manifest, &shelf(&[("there", b"1")])).expect("an archive");
    assert_eq!(entries(&ran.output).len(), 1);
    assert_eq!((ran.records, &ran.summary["skipped"]), (3, &json!(2)));
    let rejects = ran.reject_list();
    assert_eq!((&rejects[0]["line"], &rejects[0]["record"]), (&json!(1), &json!("gone")));
    assert_eq!((&rejects[1]["line"], &rejects[1]["record"]), (&json!(3), &json!("s3://other/gone")));
    assert_eq!((&rejects[1]["byte"], &rejects[1]["column"]), (&json!(0), &json!("source")));

    let (code, message) = failure(&skipping, &manifest, &Shelf::default());
    assert_eq!(code, "nothing_to_archive", "{message}");
}

#[test]
fn another_version_than_the_one_named_is_refused() {
    let objects = shelf(&[("a", b"1")]);
    for (etag, is_fine) in [("1", true), ("\"1\"", true), ("2", false), ("", false)] {
        let manifest = json!({ "files": [{ "source": "a", "etag": etag }] });
        match is_fine {
            true => drop(archived(&PLAIN, &manifest, &objects).expect(etag)),
            false => assert_eq!(failure(&PLAIN, &manifest, &objects).0, "source_changed"),
        }
    }
}

#[test]
fn a_manifest_that_is_not_in_order_is_refused_with_its_place() {
    let run = |bytes: &[u8]| suite::whole(&PLAIN, bytes).map(|_| ()).expect_err("refused").to_string();
    assert!(run(b"{\"files\": [\n{\"source\": 5}]}").contains("line 2 column 12"));
    assert!(run(b"").contains("line 1"));
    assert!(run(br#"{"files": [{"source": "a"}, {"source": "s3://UP/x"}]}"#).contains("entry 2"));
    let long = vec![b' '; ARCHIVE_MANIFEST_BYTES_MAX as usize + 1];
    assert!(run(&long).contains("more than 16777216 bytes"));
}

/// Sources whose content is not what `find` promised.
struct Liar(&'static [(&'static str, u64, u64)]);

impl Sources for Liar {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let found = self.0.iter().find(|(key, ..)| *key == &*source.key);
        Ok(found.map(|(_, promised, _)| SourceInfo { name: source.clone(), size: *promised, etag: "1".into() }))
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        match self.0.iter().find(|(key, ..)| *key == &*source.name.key) {
            Some((_, _, u64::MAX)) | None => Err(ProcessError::input("source_changed", "it was replaced")),
            Some((_, _, bytes)) => Ok(Box::new(io::repeat(7).take(*bytes))),
        }
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        Err(ProcessError::input("no_link", "there is no service here"))
    }
}

struct Nowhere;

impl RejectSink for Nowhere {
    fn reject(&mut self, _: &Reject<'_>) -> io::Result<()> {
        Ok(())
    }
}

fn run(
    archiving: &Archiving,
    manifest: &Value,
    sources: &dyn Sources,
    output: &mut dyn Write,
    pulse: &dyn Pulse,
) -> Result<ChunkReport, ProcessError> {
    let text = manifest.to_string();
    let facts = InputFacts { key: "manifest.json", size: text.len() as u64, content_type: None, etag: None };
    let mut work = Work { input: &mut text.as_bytes(), output, rejects: &mut Nowhere, sources, pulse };
    archiving.process(&Chunk::whole(facts), &mut work)
}

#[test]
fn a_source_of_another_length_than_promised_is_refused_and_the_first_one_is_told() {
    const LONG: u64 = 3 << 20;
    for choice in [Choice::Deflate, Choice::Store] {
        for threads in [1, 2, 8] {
            for (bad, sources) in [
                ("shorter", Liar(&[("fine", 9, 9), ("shorter", 9, 8), ("longer", LONG, LONG + 1)])),
                ("longer", Liar(&[("fine", 9, 9), ("longer", 9, 10), ("shorter", 9, 8)])),
                ("longer", Liar(&[("fine", LONG, LONG), ("longer", LONG, LONG + 1), ("shorter", 9, 8)])),
                ("shorter", Liar(&[("fine", LONG, LONG), ("shorter", LONG, LONG - 1), ("longer", 9, 10)])),
                ("gone", Liar(&[("fine", 9, 9), ("gone", LONG, u64::MAX), ("shorter", 9, 8)])),
                ("gone", Liar(&[("fine", 9, 9), ("gone", 9, u64::MAX), ("shorter", LONG, 8)])),
                ("shorter", Liar(&[("fine", 9, 9), ("shorter", 9, 8), ("gone", LONG, u64::MAX)])),
            ] {
                let files: Vec<Value> = sources.0.iter().map(|(key, ..)| json!({ "source": key })).collect();
                let archiving = Archiving { choice, threads, ..PLAIN };
                let mut output = suite::Discard(0);
                let error = run(&archiving, &json!({ "files": files }), &sources, &mut output, &suite::Calm);
                let Err(ProcessError::Failed(e)) = error else { panic!("{bad}: {error:?}") };
                assert_eq!(e.code, "source_changed");
                assert!(e.message.starts_with("entry 2: "), "{bad}: {}", e.message);
            }
        }
    }
}

/// Stops after so many questions.
struct Stopping(AtomicUsize);

impl Pulse for Stopping {
    fn beat(&self) {}

    fn is_stopped(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err()
    }
}

#[test]
fn work_that_is_not_wanted_ends() {
    let files: Vec<Value> = (0..20).map(|_| json!({ "source": "endless" })).collect();
    let sources = Liar(&[("endless", 1 << 40, 1 << 40)]);
    for choice in [Choice::Deflate, Choice::Store] {
        let pulse = Stopping(AtomicUsize::new(40));
        let archiving = Archiving { choice, ..PLAIN };
        let mut output = suite::Discard(0);
        let error = run(&archiving, &json!({ "files": files }), &sources, &mut output, &pulse).expect_err("stopped");
        assert!(error.to_string().contains("stopped"), "{error}");
    }
}

#[test]
fn more_entries_than_sixteen_bits_count_are_zip64() {
    let files: Vec<Value> = (0..70_000).map(|n| json!({ "source": "a", "destination": n.to_string() })).collect();
    let ran = archived(&PLAIN, &json!({ "files": files }), &shelf(&[("a", b"x")])).expect("an archive");
    let mut archive = ZipArchive::new(Cursor::new(&ran.output)).expect("an archive in order");
    assert_eq!(archive.len(), 70_000);
    let mut content = String::new();
    archive.by_name("69999").expect("the last entry").read_to_string(&mut content).expect("content");
    assert_eq!(content, "x");
    if let Some(seen) = python_names(&ran.output) {
        assert_eq!((seen.len(), &seen[69_999]), (70_000, &("69999".to_owned(), 1)));
    }
}

/// Keeps both ends of what is written; zeros stand for the rest.
#[derive(Default)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    length: u64,
    at: u64,
}

const END_BYTES: usize = 1 << 20;

impl Write for Ends {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = END_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        self.tail.extend_from_slice(bytes);
        if self.tail.len() > 16 * END_BYTES {
            self.tail.drain(..self.tail.len() - END_BYTES);
        }
        self.length += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Ends {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let tail_at = self.length - self.tail.len() as u64;
        let n = match self.at {
            at if at >= tail_at => (&self.tail[(at - tail_at) as usize..]).read(out)?,
            at if at < self.head.len() as u64 => (&self.head[at as usize..]).read(out)?,
            at => io::repeat(0).take(tail_at - at).read(out)?,
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.length.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
        };
        Ok(self.at)
    }
}

#[test]
fn an_entry_beyond_four_gib_and_what_comes_behind_it_are_zip64_in_bounded_memory() {
    const HUGE: u64 = (4 << 30) + 5;
    let sources = Liar(&[("huge", HUGE, HUGE), ("behind", 9, 9)]);
    let manifest = json!({ "files": [{ "source": "huge" }, { "source": "behind" }] });
    let mut output = Ends::default();
    let archiving = Archiving { choice: Choice::Store, ..PLAIN };
    let held = allocation_counter::measure(|| {
        run(&archiving, &manifest, &sources, &mut output, &suite::Calm).expect("an archive");
    });
    // of which the test's own ends are 32 MiB at most
    assert!(held.bytes_max < 40 << 20, "{} bytes were held", held.bytes_max);
    assert_eq!(output.head[4], 45, "the version that reads zip64");
    let behind = output.tail.windows(4).rposition(|four| four == b"PK\x03\x04").expect("the second entry");
    assert_eq!(output.tail[behind - 8..behind], HUGE.to_le_bytes(), "what stands behind the first one");
    let mut archive = ZipArchive::new(output).expect("an archive in order");
    let packed = archive.by_index(0).expect("an entry").compressed_size();
    assert_eq!(packed, HUGE + 5 * HUGE.div_ceil(65_535) + 5);
    assert_eq!(archive.by_index(0).expect("an entry").size(), HUGE);
    let mut content = Vec::new();
    archive.by_name("behind").expect("an entry").read_to_end(&mut content).expect("content");
    assert_eq!(content, [7; 9]);
}

#[test]
fn a_manifest_as_large_as_may_be_is_held_in_bounded_memory() {
    let long = "x".repeat(100);
    let file = |n: u64| format!(r#"{{"source":"a","destination":"{long}/{n}","etag":"1"}}"#);
    let files: Vec<String> = (0..100_000).map(file).collect();
    let text = format!(r#"{{"files":[{}]}}"#, files.join(","));
    assert!(text.len() > 14 << 20);
    let (objects, mut output) = (shelf(&[("a", b"")]), suite::Discard(0));
    let facts = InputFacts { key: "manifest.json", size: text.len() as u64, content_type: None, etag: None };
    let held = allocation_counter::measure(|| {
        let (input, rejects) = (&mut text.as_bytes(), &mut Nowhere);
        let mut work = Work { input, output: &mut output, rejects, sources: &objects, pulse: &suite::Calm };
        let plain = Archiving { threads: 1, ..PLAIN };
        plain.process(&Chunk::whole(facts), &mut work).expect("an archive");
    });
    assert!(held.bytes_max < 56 << 20, "{} bytes were held", held.bytes_max);
}

#[test]
fn what_a_browser_calls_it_follows_the_rule_for_names() {
    for (name, expected) in [
        ("album", Some("album.zip")),
        ("album.zip", Some("album.zip")),
        ("album.ZIP", Some("album.ZIP")),
        ("a/b\\c", Some("c.zip")),
        ("../", Some("file.zip")),
        ("a\r\nb\"", Some("a__b_.zip")),
        ("con", Some("_con.zip")),
        ("", None),
        (" ", None),
    ] {
        assert_eq!(filename(name).as_deref(), expected, "{name:?}");
    }
    assert_eq!(filename(&"x".repeat(300)).map(|name| name.len()), Some(255));
}

suite::processor_suite! {
    processor: ArchiveZip,
    options: [json!({}), json!({ "method": "store", "on_missing": "skip" })],
    pieces: [
        "{\"files\":[{\"source\":\"a\"}]}",
        "{\"files\":[",
        "{\"source\":\"a\"}",
        ",",
        "]}",
        "\"metadata\":{",
        "[",
        "{",
        "\\ud800",
    ],
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]
    #[test]
    fn any_sources_come_back(
        sources in proptest::collection::vec((any::<u64>(), 0usize..1_300_000, 0u8..3), 1..8),
        threads in 1usize..4,
    ) {
        let content = |(seed, length, kind): &(u64, usize, u8)| match kind {
            0 => noise(*length % 200_000),
            1 => vec![*seed as u8; *length],
            _ => seed.to_string().bytes().cycle().take(*length).collect(),
        };
        let objects = Shelf(sources.iter().enumerate().map(|(n, s)| (format!("{n}"), content(s))).collect());
        let files: Vec<Value> = objects.0.keys().map(|key| json!({ "source": key })).collect();
        let archiving = Archiving { threads, ..PLAIN };
        let ran = archived(&archiving, &json!({ "files": files }), &objects).expect("an archive");
        let found: Vec<_> = entries(&ran.output).into_iter().map(|(name, content, _)| (name, content)).collect();
        prop_assert!(found == objects.0.into_iter().collect::<Vec<_>>());
    }
}
