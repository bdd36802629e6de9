//! No file grows past 500 lines of code, unless it is listed; the list only shrinks.

use crate::Tree;
use crate::text::code;

const CODE_LINES_MAX: usize = 500;
/// Files that are larger, each with its reason beside it. One that no longer is leaves the list.
const LISTED: &[&str] = &[];

pub fn complaints(tree: &Tree) -> Vec<String> {
    with_list(tree, LISTED)
}

fn with_list(tree: &Tree, listed: &[&str]) -> Vec<String> {
    let lines = |text: &str| text.lines().filter(|line| !code(line).is_empty()).count();
    let large: Vec<(&str, usize)> =
        tree.ending(".rs").map(|(path, text)| (path, lines(text))).filter(|(_, n)| *n > CODE_LINES_MAX).collect();
    let grown = large.iter().filter(|(path, _)| !listed.contains(path));
    let shrunk = listed.iter().filter(|path| !large.iter().any(|(p, _)| p == *path));
    let grown = grown.map(|(path, n)| format!("{path}: {n} lines of code; over {CODE_LINES_MAX} it is two files"));
    grown.chain(shrunk.map(|path| format!("{path}: is small enough now; take it off the list in growth.rs"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grew_is_named_unless_listed_and_a_listed_one_must_have_grown() {
        let large = "f();\n".repeat(501);
        let small = format!("{}{}", "f();\n".repeat(500), "// why\n\n".repeat(100));
        let tree = Tree::of(&[("large.rs", &large), ("small.rs", &small)]);
        assert_eq!(with_list(&tree, &[]), ["large.rs: 501 lines of code; over 500 it is two files"]);
        assert_eq!(with_list(&tree, &["large.rs"]), [""; 0]);
        let found = with_list(&tree, &["large.rs", "small.rs", "gone.rs"]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with("small.rs: is small enough"), "{found:?}");
    }
}
