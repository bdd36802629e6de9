//! No module is called by a name that says nothing.

use crate::Tree;
use crate::text::code;

const SAY_NOTHING: &[&str] =
    &["util", "utils", "common", "helper", "helpers", "types", "manager", "managers", "misc", "shared"];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let says_nothing = |name: &str| SAY_NOTHING.contains(&name);
    let of_files = tree.ending(".rs").filter_map(|(path, _)| {
        let name = path.trim_end_matches(".rs").split('/').find(|part| says_nothing(part))?;
        Some(format!("{path}: `{name}` says nothing about what is inside"))
    });
    let of_inline = tree.ending(".rs").flat_map(|(path, text)| {
        let declared = text.lines().enumerate().filter_map(|(i, line)| Some((i + 1, declared_module(code(line))?)));
        let bad = declared.filter(|(_, name)| says_nothing(name));
        bad.map(move |(line, name)| format!("{path}:{line}: `{name}` says nothing about what is inside"))
    });
    of_files.chain(of_inline).collect()
}

/// `name` of `pub(crate) mod name;` or `mod name {`.
fn declared_module(code: &str) -> Option<&str> {
    let mut words = code.trim_end_matches(['{', ';', ' ']).split_whitespace().rev();
    let name = words.next()?;
    (words.next()? == "mod").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vague_modules_are_named() {
        let tree = Tree::of(&[
            ("a/src/util.rs", "//! x\n"),
            ("a/src/helpers/mod.rs", "//! x\n"),
            ("a/src/lib.rs", "//! x\nmod task;\npub(crate) mod types {\n}\n// mod misc;\n"),
        ]);
        let found = complaints(&tree);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[2].starts_with("a/src/lib.rs:3: `types`"));
    }
}
