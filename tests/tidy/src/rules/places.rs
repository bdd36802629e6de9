//! The repository names no machine: no absolute paths of a workplace, no package registry that a mirror may have put in.

use crate::Tree;
use crate::text::{is_test_path, product_lines};

/// This rule's own room names the places.
const OWN_ROOM: &str = "tests/tidy/";
/// Folders of somebody's machine. Tests may use them as odd input.
const FOLDERS: &[&str] = &["/work/", "/root/", "/tmp/", "/home/"];
/// Wherever a registry or its mirror would be set.
const REGISTRIES: &[&str] = &[
    "index.crates.io",
    "static.crates.io",
    "registry.npmjs.org",
    "registry.yarnpkg.com",
    "pypi.org",
    "files.pythonhosted.org",
    "proxy.golang.org",
    "deb.debian.org",
    "replace-with",
    "index-url",
];
const LOCK: &str = "Cargo.lock";
const LOCK_SOURCE: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";

pub fn complaints(tree: &Tree) -> Vec<String> {
    let elsewhere = || tree.texts().filter(|(path, _)| !path.starts_with(OWN_ROOM));
    let of_product = elsewhere().filter(|(path, _)| !is_test_path(path));
    let folders = of_product.flat_map(|(path, text)| {
        let end = if path.ends_with(".rs") { product_lines(text).count() } else { usize::MAX };
        holding(path, text, FOLDERS).filter(move |(line, _)| *line <= end).map(|(_, complaint)| complaint)
    });
    let registries = elsewhere().flat_map(|(path, text)| holding(path, text, REGISTRIES).map(|(_, c)| c));
    folders.chain(registries).chain(foreign_sources(tree)).collect()
}

fn holding<'a>(path: &'a str, text: &'a str, words: &'a [&str]) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().filter_map(move |(i, line)| {
        let word = words.iter().find(|word| line.contains(**word))?;
        Some((i + 1, format!("{path}:{}: `{word}` belongs to a machine, not to the project", i + 1)))
    })
}

/// Every dependency comes from the public index, by its usual name.
fn foreign_sources(tree: &Tree) -> impl Iterator<Item = String> {
    let lines = tree.text(LOCK).unwrap_or_default().lines().enumerate();
    let foreign = lines.filter(|(_, line)| line.starts_with("source = ") && *line != LOCK_SOURCE);
    foreign.map(|(i, line)| format!("{LOCK}:{}: a dependency from elsewhere: {line}", i + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_paths_and_registries_are_named() {
        for word in FOLDERS.iter().chain(REGISTRIES) {
            let text = format!("//! x\nlet a = \"{word}x\";\n");
            assert_eq!(complaints(&Tree::of(&[("crates/a/src/lib.rs", &text)])).len(), 1, "{word}");
        }
    }

    #[test]
    fn tests_may_use_odd_paths() {
        let text = "//! x\n#[cfg(test)]\nmod tests {\n let a = \"/tmp/x\";\n}\n";
        assert_eq!(complaints(&Tree::of(&[("crates/a/src/lib.rs", text), ("tests/e2e/a.rs", "/tmp/a")])), [""; 0]);
    }

    #[test]
    fn a_mirror_in_the_lock_file_is_named() {
        let text = format!("{LOCK_SOURCE}\nsource = \"sparse+https://mirror.example/\"\n");
        assert_eq!(complaints(&Tree::of(&[("Cargo.lock", &text)])).len(), 1);
    }
}
