//! The pages show only commands that exist: each `filemill WORD` in code is a variant of the command line's enum.

use crate::Tree;
use crate::text::is_fence;

const COMMAND_LINE: &str = "bin/filemill/src/cli.rs";

pub fn complaints(tree: &Tree) -> Vec<String> {
    let known = commands(tree.text(COMMAND_LINE).unwrap_or_default());
    if known.is_empty() {
        return vec![format!("{COMMAND_LINE}: there is no `enum Command` with commands")];
    }
    let pages = tree.ending(".md").filter(|(page, _)| *page != "CHANGELOG.md");
    let shown = pages.flat_map(|(page, text)| shown(text).into_iter().map(move |(line, word)| (page, line, word)));
    let unknown = shown.filter(|(_, _, word)| !known.iter().any(|k| k == word));
    unknown.map(|(page, line, word)| format!("{page}:{line}: there is no command `filemill {word}`")).collect()
}

/// The variants of `enum Command`, in lower case as clap names them.
fn commands(source: &str) -> Vec<String> {
    let body = source.split("enum Command {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let variants = body.lines().filter_map(|line| line.trim().split_once('('));
    variants.map(|(name, _)| name.to_lowercase()).filter(|n| n.bytes().all(|b| b.is_ascii_lowercase())).collect()
}

/// The word behind `filemill ` wherever a line of code, or inline code, starts with it.
fn shown(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (i, line) in text.lines().enumerate() {
        if is_fence(line) {
            in_code = !in_code;
            continue;
        }
        let pieces: Vec<&str> = if in_code { vec![line] } else { line.split('`').skip(1).step_by(2).collect() };
        found.extend(pieces.into_iter().filter_map(first_command).map(|word| (i + 1, word)));
    }
    found
}

fn first_command(code: &str) -> Option<&str> {
    let code = code.trim_start().trim_start_matches("$ ");
    let rest = code.strip_prefix("cargo run --release -- ").or_else(|| code.strip_prefix("filemill "))?;
    let word = rest.split_whitespace().next()?;
    word.bytes().all(|b| b.is_ascii_lowercase()).then_some(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_does_not_exist_is_named() {
        let cli = "enum Command {\n    /// Run\n    Serve(serve::Args),\n}\n";
        let page = "Type `filemill serve`, `filemill --help` or `filemill sing`.\n```\n$ filemill dance --x\n\
                    cargo run --release -- fly\nfilemill serve\n```\n";
        let found = complaints(&Tree::of(&[(COMMAND_LINE, cli), ("README.md", page)]));
        let words: Vec<&str> = found.iter().filter_map(|c| c.rsplit(' ').next()).collect();
        assert_eq!(words, ["sing`", "dance`", "fly`"]);
    }

    #[test]
    fn a_command_line_that_is_not_understood_is_no_pass() {
        assert_eq!(complaints(&Tree::of(&[(COMMAND_LINE, "enum Commands {}")])).len(), 1);
    }
}
