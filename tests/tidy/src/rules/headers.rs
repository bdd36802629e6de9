//! Every Rust file opens with its headline: `//!` lines that say what it is, what it promises, what it does not do.

use crate::Tree;

pub fn complaints(tree: &Tree) -> Vec<String> {
    let opens_well =
        |text: &str| text.strip_prefix("//! ").is_some_and(|t| t.starts_with(|c: char| !c.is_whitespace()));
    let without = tree.ending(".rs").filter(|(_, text)| !opens_well(text));
    without.map(|(path, _)| format!("{path}:1: open the file with `//! ` and what it is")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_headline_is_named() {
        let tree =
            Tree::of(&[("a.rs", "//! What it is.\n"), ("b.rs", "use a;\n"), ("c.rs", ""), ("d.rs", "\n//! x\n")]);
        let found = complaints(&tree);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("b.rs:1"));
    }
}
