//! Looking at source line by line: which lines are the product's, which are code, which hold a word.
//!
//! This is no parser. It leans on two habits of this repository: a file's test module stands at its end, and comments
//! are line comments.

/// Code that only tests, benchmarks and examples run.
pub fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/")
        || path.starts_with("bench/")
        || path.contains("/tests/")
        || path.contains("/examples/")
        || path.ends_with("/tests.rs")
}

/// The lines before the file's test module, numbered from 1.
pub fn product_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let test_module = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..test_module].lines().enumerate().map(|(i, line)| (i + 1, line))
}

/// The line without its comment; empty if it is nothing else.
pub fn code(line: &str) -> &str {
    let line = line.trim();
    // "://" stands in addresses, not before comments
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    line[..comment.map_or(line.len(), |(at, _)| at)].trim_end()
}

/// Whether `word` stands in `line` with no letter, digit or underscore before it (nor behind it, if it ends in one).
pub fn holds_word(line: &str, word: &str) -> bool {
    let is_inner = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(word).any(|(at, _)| {
        let before = is_inner(word.chars().next()) && is_inner(line[..at].chars().next_back());
        let behind = is_inner(word.chars().next_back()) && is_inner(line[at + word.len()..].chars().next());
        !before && !behind
    })
}

/// Where a block of code begins or ends in a page.
pub fn is_fence(line: &str) -> bool {
    line.trim_start().starts_with("```")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_is_no_code() {
        assert_eq!(code("    let a = 1; // why"), "let a = 1;");
        assert_eq!(code("/// doc"), "");
        assert_eq!(code("\"http://x\""), "\"http://x\"");
    }

    #[test]
    fn a_word_is_not_a_part_of_a_longer_one() {
        assert!(holds_word("fs::rename(a, b)", "rename(") && holds_word("(FIXME)", "FIXME"));
        assert!(!holds_word("no_rename(a)", "rename(") && !holds_word("XXXX", "XXX"));
        assert!(holds_word("XXXX XXX", "XXX"));
    }

    #[test]
    fn the_test_module_is_not_the_product() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(product_lines(text).collect::<Vec<_>>(), [(1, "fn a() {}")]);
    }
}
