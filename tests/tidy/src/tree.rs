//! The repository's files as paths and texts: what git tracks or would track, or the folder itself where there is no git.
//!
//! Paths are relative to the root and use `/`. Files that are no UTF-8 text have a path only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

#[derive(Default)]
pub struct Tree {
    paths: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

impl Tree {
    /// The repository that this crate lies in.
    pub fn of_repository() -> Tree {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().expect("the workspace is two folders up");
        let listed = git_listing(&root).unwrap_or_else(|| walk(&root));
        // a file that was removed but not yet committed is still listed
        let paths: BTreeSet<String> = listed.into_iter().filter(|p| root.join(p).is_file()).collect();
        let read = |path: &String| Some((path.clone(), fs::read_to_string(root.join(path)).ok()?));
        let texts = paths.iter().filter_map(read).collect();
        Tree { paths, texts }
    }

    /// A small tree for a rule's own tests.
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let texts = files.iter().map(|(path, text)| (path.to_string(), text.to_string()));
        Tree { paths: files.iter().map(|(path, _)| path.to_string()).collect(), texts: texts.collect() }
    }

    /// Every text file, in order of the paths.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The text files whose name ends so.
    pub fn ending(&self, end: &str) -> impl Iterator<Item = (&str, &str)> {
        self.texts().filter(move |(path, _)| path.ends_with(end))
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// A file, or a folder that holds one.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let is_file_or_child = |p: &String| p == path || p.starts_with(&folder);
        path.is_empty() || self.paths.range(path.to_owned()..).take_while(|p| p.starts_with(path)).any(is_file_or_child)
    }
}

/// Tracked files and new ones that are not ignored. `None` without git, or inside somebody else's repository.
fn git_listing(root: &Path) -> Option<Vec<String>> {
    let git = |args: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(args).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).ok())?
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(top.trim_end()).canonicalize().ok()? != root {
        return None;
    }
    let listing = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    Some(listing.split('\0').filter(|p| !p.is_empty()).map(str::to_owned).collect())
}

fn walk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder of the repository is readable") {
            let entry = entry.expect("a folder of the repository is readable");
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let kind = entry.file_type().expect("a file of the repository has a type");
            if kind.is_dir() && !matches!(name.as_str(), ".git" | "target" | "node_modules") {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_and_a_walk_find_this_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("root");
        let this = "tests/tidy/src/tree.rs".to_owned();
        assert!(walk(&root).contains(&this));
        assert!(git_listing(&root).is_none_or(|listing| listing.contains(&this)));
        assert!(Tree::of_repository().text(&this).is_some());
    }

    #[test]
    fn a_tree_has_its_files_and_their_folders() {
        let tree = Tree::of(&[("a/b.md", ""), ("a-c", "")]);
        assert!(tree.has("a") && tree.has("a/b.md") && tree.has("a-c") && tree.has(""));
        assert!(!tree.has("a/b") && !tree.has("b") && !tree.has("a/"));
    }
}
