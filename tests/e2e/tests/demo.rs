//! The demo: what a person sees who tries Filemill for the first time, and that it leaves nothing behind.

use filemill_e2e::reference::{assert_same, sed};
use filemill_e2e::{Ran, binary, http};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

const GENERATED: &str = "generated.log";

/// The samples by key.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples"));
    let (mut samples, mut folders) = (BTreeMap::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let key = path.strip_prefix(&root).expect("below").to_str().expect("UTF-8").to_owned();
            match path.is_dir() {
                true => folders.push(path),
                false if key.starts_with('.') => {}
                false => drop(samples.insert(key, std::fs::read(path).expect("a sample"))),
            }
        }
    }
    samples
}

fn demo(temporary: &Path, args: &[&str]) -> Ran {
    Ran::with(temporary, &[&["demo", "--once"], args].concat(), |command| {
        command.env("TMPDIR", temporary);
    })
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn a_row_for_each_sample_and_one_for_a_large_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = demo(folder.path(), &[]).good().text();
    let mut lines = said.lines();
    let head: Vec<&str> = lines.next().expect("a head").split_whitespace().collect();
    assert_eq!(head, ["INPUT", "SIZE", "CHUNKS", "TIME", "RESULT"]);
    let rows: Vec<&str> = lines.collect();
    let keys: Vec<String> = samples().into_keys().chain([GENERATED.to_owned()]).collect();
    assert_eq!(rows.len(), keys.len(), "{said}");
    for key in keys {
        let row = rows.iter().find_map(|row| row.strip_prefix(&*key)).unwrap_or_else(|| panic!("no {key}: {said}"));
        // SIZE UNIT CHUNKS TIME UNIT RESULT LINK
        let cells: Vec<&str> = row.split_whitespace().collect();
        let [size, _, chunks, time, _, verdict, link] = cells[..] else { panic!("{row}") };
        assert!(size.parse::<f64>().is_ok() && time.parse::<f64>().is_ok(), "{row}");
        assert_eq!(chunks.parse::<u32>().expect("a number") > 1, key == GENERATED, "{row}");
        assert_eq!(verdict, "exact");
        assert!(link.starts_with("http://127.0.0.1:") && link.contains("/results/"), "{row}");
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
    assert_eq!(items.len(), sizes.len());
    for item in items {
        let key = item["key"].as_str().expect("a key");
        assert_eq!(item["size"].as_u64(), sizes.remove(key), "{item}");
        assert!(item["exact"] == true && item["status"] == "completed" && item["took_ms"].is_u64(), "{item}");
    }
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

#[test]
fn it_stays_up_for_a_look_around_until_it_is_told_to_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut demo = Demo::start(folder.path());
    let mut lines = demo.lines();
    let rows: Vec<String> = lines.by_ref().take_while(|line| !line.contains("stays up")).collect();
    for (key, content) in samples() {
        let row = rows.iter().find(|row| row.starts_with(&*key)).unwrap_or_else(|| panic!("no {key}: {rows:?}"));
        let link = row.split_whitespace().last().expect("a link");
        assert_same(&key, &http::send("GET", link, &[], &[]).expect(200).body, &sed(&content));
    }
    demo.terminate();
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|line| line.contains("filemill put")), "{rest:?}");
    assert_eq!(demo.0.wait().expect("a child of ours can be waited for").code(), Some(0));
    assert!(is_empty(folder.path()), "something is left of the demo");
}
