//! Every dependency in the root manifest has its reason behind it, on its own line. Our own rooms need none.

use crate::Tree;

const MANIFEST: &str = "Cargo.toml";

pub fn complaints(tree: &Tree) -> Vec<String> {
    let text = tree.text(MANIFEST).unwrap_or_default();
    let section = text.lines().enumerate().skip_while(|(_, line)| *line != "[workspace.dependencies]").skip(1);
    let lines: Vec<_> = section.take_while(|(_, line)| !line.starts_with('[')).collect();
    if lines.is_empty() {
        return vec![format!("{MANIFEST}: there are no [workspace.dependencies]")];
    }
    let unexplained = lines.into_iter().filter(|(_, line)| line.contains('=') && !line.starts_with('#'));
    let unexplained = unexplained.filter(|(_, line)| !line.contains("path = ") && reason(line).is_empty());
    unexplained.map(|(i, line)| format!("{MANIFEST}:{}: say in a comment why: {line}", i + 1)).collect()
}

/// No version or feature holds a `#`.
fn reason(line: &str) -> &str {
    line.split_once('#').map_or("", |(_, reason)| reason.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_named() {
        let text = "[workspace]\n[workspace.dependencies]\n# ours\na = { path = \"a\" }\n\n\
                    b = \"1\"  # because\nc = \"1\"\nd = { version = \"1\" } #\n[profile]\ne = 1\n";
        let found = complaints(&Tree::of(&[("Cargo.toml", text)]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("Cargo.toml:7:"));
    }

    #[test]
    fn a_manifest_that_is_not_understood_is_no_pass() {
        assert_eq!(complaints(&Tree::of(&[("Cargo.toml", "[dependencies]\n")])).len(), 1);
    }
}
