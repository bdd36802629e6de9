//! Only the binary speaks to a terminal. Rooms below it log with fields, or return what they have to say.

use crate::Tree;
use crate::text::{code, holds_word, is_test_path, product_lines};

const WORDS: &[&str] = &["println!", "print!", "eprintln!", "eprint!"];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let below = tree.ending(".rs").filter(|(path, _)| path.starts_with("crates/") || path.starts_with("adapters/"));
    let lines = below
        .filter(|(path, _)| !is_test_path(path))
        .flat_map(|(path, text)| product_lines(text).map(move |(n, line)| (path, n, code(line))));
    let prints = lines.filter(|(_, _, line)| WORDS.iter().any(|word| holds_word(line, word)));
    prints.map(|(path, n, _)| format!("{path}:{n}: log or return it; only bin/ prints")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_below_the_binary_is_named() {
        for word in WORDS {
            let text = format!("//! x\n    {word}(\"hello\");\n");
            assert_eq!(complaints(&Tree::of(&[("crates/a/src/lib.rs", &text)])).len(), 1, "{word}");
            assert_eq!(complaints(&Tree::of(&[("adapters/a/src/lib.rs", &text)])).len(), 1, "{word}");
            assert_eq!(complaints(&Tree::of(&[("bin/a/src/main.rs", &text)])), [""; 0]);
        }
    }
}
