//! An example of the repository: its folder copied, its config served, and its page's commands run as they stand there.
//!
//! Only addresses are put in for those of the page, since services of tests listen on free ports. What starts something
//! that stays (the service itself, a program of the example) is left to the scenario.

use crate::binary;
use crate::commands::Ran;
use crate::stage::Stage;
use crate::tools::tool;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub struct Example {
    name: String,
    pub stage: Stage,
    /// What the page's commands printed.
    pub said: String,
}

const PAGE: &str = "README.md";
/// Where the page's service keeps its data.
const DATA: &str = "filemill-data";
/// Where the page's shell finds the binary under its usual name.
const BIN: &str = ".bin";
/// Commands that stay, and that a page therefore shows in a block of their own.
const STAY: &[&str] = &["filemill serve", "python3 "];

/// The folder of every example.
pub fn folders() -> Vec<PathBuf> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples"));
    let entries = fs::read_dir(root).expect("there are examples");
    let mut folders: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

pub fn folder(name: &str) -> PathBuf {
    let found = folders().into_iter().find(|folder| folder.ends_with(name));
    found.unwrap_or_else(|| panic!("there is no example {name}"))
}

impl Example {
    /// Served with that very config.
    pub fn open(name: &str) -> Example {
        Example::open_with(name, |_| {})
    }

    /// The same, after files beside the config were changed.
    pub fn open_with(name: &str, change: impl FnOnce(&Path)) -> Example {
        let copy = tempfile::tempdir().expect("a temporary folder");
        copy_folder(&folder(name), copy.path());
        change(copy.path());
        symlink("data", copy.path().join(DATA)).expect("a link to the data");
        fs::create_dir(copy.path().join(BIN)).expect("a folder");
        symlink(binary::filemill(), copy.path().join(BIN).join("filemill")).expect("a link to the binary");
        Example { name: name.to_owned(), stage: Stage::on(copy), said: String::new() }
    }

    /// Served, and its page done from top to bottom. `None`, with a loud word, where there is no curl.
    pub fn walked(name: &str) -> Option<Example> {
        tool("curl")?;
        let mut example = Example::open(name);
        example.walk();
        Some(example)
    }

    /// Runs all commands of the page in one shell.
    #[track_caller]
    pub fn walk(&mut self) {
        let page = fs::read_to_string(self.stage.path(PAGE)).expect("an example has a page");
        let service = &self.stage.service;
        let script = commands(&page)
            .replace("http://127.0.0.1:8080", &service.api)
            .replace("http://127.0.0.1:9000", &service.s3);
        let mut shell = tool("sh").expect("every system has a shell").command();
        shell.args(["-euc", &script]).current_dir(self.stage.folder.path());
        shell.env("PATH", path_with(self.stage.path(BIN))).env("FILEMILL_URL", &service.api);
        // the page has it from its folder
        shell.env_remove("FILEMILL_TOKEN").env_remove("FILEMILL_ADMIN_TOKEN").env_remove("FILEMILL_DATA");
        let ran = Ran::of(shell);
        assert_eq!(ran.code, Some(0), "the page of {}:\n{script}\n{}\n{}", self.name, ran.text(), ran.stderr);
        self.said = ran.text();
    }

    /// A file of the example's folder, one that the page made too.
    #[track_caller]
    pub fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.stage.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    #[track_caller]
    pub fn json(&self, name: &str) -> serde_json::Value {
        let bytes = self.file(name);
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{name}: {e}: {}", String::from_utf8_lossy(&bytes)))
    }
}

/// The blocks of shell commands, but for those that stay.
fn commands(page: &str) -> String {
    let blocks = page.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| !STAY.iter().any(|command| block.starts_with(command))).collect()
}

fn path_with(folder: PathBuf) -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder).chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("a path of folders")
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if entry.file_name() == DATA {
            continue; // somebody tried the example out
        }
        if source.is_dir() {
            fs::create_dir(&copy).expect("a folder");
            copy_folder(&source, &copy);
        } else {
            fs::copy(source, copy).expect("a copy");
        }
    }
}
