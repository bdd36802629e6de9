//! The page on reliability names the tests that prove it; each of them is there.
//!
//! `room/path: name` in code is the function `name` in `path.rs` of the room, whichever folder the room lies in.

use crate::Tree;

const PAGE: &str = "docs/reliability.md";
const FOLDERS: [&str; 4] = ["crates", "adapters", "tests", "bin"];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let Some(page) = tree.text(PAGE) else { return vec![format!("{PAGE} is gone")] };
    let named: Vec<(usize, &str, &str)> = page
        .lines()
        .enumerate()
        .flat_map(|(nth, line)| line.split('`').skip(1).step_by(2).map(move |code| (nth + 1, code)))
        .filter_map(|(line, code)| code.split_once(": ").map(|(file, name)| (line, file, name)))
        .filter(|(_, file, _)| file.contains('/'))
        .collect();
    if named.is_empty() {
        return vec![format!("{PAGE} names no test; is it still written as `room/path: name`?")];
    }
    let gone = named.into_iter().filter(|(_, file, name)| *name != "name" && !is_there(tree, file, name));
    gone.map(|(line, file, name)| format!("{PAGE}:{line}: there is no test {name} in {file}.rs")).collect()
}

fn is_there(tree: &Tree, file: &str, name: &str) -> bool {
    let texts = FOLDERS.iter().filter_map(|folder| tree.text(&format!("{folder}/{file}.rs")));
    let begins = format!("fn {name}(");
    texts.into_iter().any(|text| text.contains(&begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints_about(page: &str) -> Vec<String> {
        let files = [(PAGE, page), ("crates/http/tests/s3/auth.rs", "#[test]\nasync fn a_link_ends() {}\n")];
        complaints(&Tree::of(&files))
    }

    #[test]
    fn a_test_that_is_gone_is_named() {
        assert!(complaints_about("| 1 | x | `http/tests/s3/auth: a_link_ends` |").is_empty());
        for gone in ["http/tests/s3/auth: a_link", "http/tests/s3/auth: a_link_ends_late", "http/src/auth: a_link_ends"]
        {
            assert_eq!(complaints_about(&format!("\n| 1 | x | `{gone}` |")).len(), 1, "{gone}");
        }
    }

    #[test]
    fn a_page_without_tests_is_no_pass() {
        assert_eq!(complaints_about("all is well").len(), 1);
        assert_eq!(complaints(&Tree::of(&[])).len(), 1);
    }
}
