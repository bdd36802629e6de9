//! Nothing is left for later: no marker comments, no stubs, no switched-off tests.

use crate::Tree;
use crate::text::holds_word;

/// Endings of files that hold source.
const SOURCE: &[&str] = &[".rs", ".toml", ".sql", ".sh", ".py", ".ts", ".vue", ".ci/run"];
const MARKERS: &[&str] = &["todo!(", "unimplemented!(", "dbg!(", "TODO", "FIXME", "XXX", "HACK", "#[ignore"];
/// This rule's own room names the markers.
const OWN_ROOM: &str = "tests/tidy/";

pub fn complaints(tree: &Tree) -> Vec<String> {
    let sources = tree.texts().filter(|(path, _)| SOURCE.iter().any(|end| path.ends_with(end)));
    let sources = sources.filter(|(path, _)| !path.starts_with(OWN_ROOM));
    let lines = sources.flat_map(|(path, text)| text.lines().enumerate().map(move |(i, line)| (path, i + 1, line)));
    let marked = lines.filter_map(|(path, number, line)| {
        let marker = MARKERS.iter().find(|marker| holds_word(line, marker))?;
        Some(format!("{path}:{number}: `{marker}`: do it, or write an issue"))
    });
    marked.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_marker_is_found() {
        for marker in MARKERS {
            let text = format!("//! x\n  {marker} later\n");
            assert_eq!(complaints(&Tree::of(&[("a/src/lib.rs", &text)])).len(), 1, "{marker}");
        }
        let fine = "let todos = prefix_dbg!(1); // XXXX\n";
        assert_eq!(complaints(&Tree::of(&[("a/src/lib.rs", fine), ("tests/tidy/x.rs", "FIXME")])), [""; 0]);
    }
}
