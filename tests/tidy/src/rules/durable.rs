//! What makes bytes survive a power cut is written once: syncs and renames stand in the local adapter's `durable.rs`.
//!
//! The binary has two files of its own that must appear whole (credentials, downloads); they are named here, and so is what
//! renames in order to remove. A place that no longer syncs or renames leaves the list. Tests may damage files as they
//! like.

use crate::Tree;
use crate::text::{code, holds_word, is_test_path, product_lines};

const WORDS: &[&str] = &[
    "rename(",
    "renameat(",
    "hard_link(",
    ".persist(",
    ".persist_noclobber(",
    "sync_all",
    "sync_data",
    "fsync",
    "fdatasync",
    "syncfs",
];
const PLACES: &[&str] = &[
    "adapters/local/src/durable.rs",
    "bin/filemill/src/credentials.rs",
    "bin/filemill/src/client/download.rs",
    // moves folders up on their way to removal; nothing there is to survive
    "crates/custom/src/scratch/tree.rs",
];

pub fn complaints(tree: &Tree) -> Vec<String> {
    with_places(tree, PLACES)
}

fn with_places(tree: &Tree, places: &[&str]) -> Vec<String> {
    let sources = tree.ending(".rs").filter(|(path, _)| !is_test_path(path));
    let found: Vec<(&str, usize, &str)> = sources
        .flat_map(|(path, text)| product_lines(text).filter_map(move |(n, line)| Some((path, n, word_in(line)?))))
        .collect();
    let elsewhere = found.iter().filter(|(path, ..)| !places.contains(path));
    let elsewhere = elsewhere.map(|(path, n, word)| format!("{path}:{n}: `{word}` belongs into durable.rs"));
    let idle = places.iter().filter(|place| !found.iter().any(|(path, ..)| path == *place));
    let idle =
        idle.map(|place| format!("{place}: syncs and renames nothing; take it off the list in rules/durable.rs"));
    elsewhere.chain(idle).collect()
}

fn word_in(line: &str) -> Option<&'static str> {
    WORDS.iter().find(|word| holds_word(code(line), word)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_elsewhere_is_named() {
        for word in WORDS {
            let text = format!("//! x\n    let done = {word} file;\n");
            assert_eq!(with_places(&Tree::of(&[("a/src/x.rs", &text)]), &[]).len(), 1, "{text}");
        }
    }

    #[test]
    fn comments_tests_and_the_named_places_are_fine() {
        let tests = "//! x\n// fsync waits\n#[cfg(test)]\nmod tests {\n fs::rename(a, b);\n}\n";
        let files = [("a/src/x.rs", tests), ("a/tests/y.rs", "f.sync_all()"), ("d.rs", "f.sync_all();\n")];
        assert_eq!(with_places(&Tree::of(&files), &["d.rs"]), [""; 0]);
    }

    #[test]
    fn a_place_that_syncs_nothing_leaves_the_list() {
        assert_eq!(with_places(&Tree::of(&[("d.rs", "// sync_all\n")]), &["d.rs"]).len(), 1);
    }
}
