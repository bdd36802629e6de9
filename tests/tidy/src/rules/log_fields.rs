//! No field of a log line is called `message`: a JSON line has its own text under that key.

use crate::Tree;
use crate::text::{code, is_test_path, product_lines};

const MACROS: &[&str] = &["trace!(", "debug!(", "info!(", "warn!(", "error!("];
const FIELDS: &[&str] =
    &["(message =", " message =", "(message,", ", message,", "(%message,", ", %message,", ", ?message,"];

pub fn complaints(tree: &Tree) -> Vec<String> {
    let files = tree.ending(".rs").filter(|(path, _)| !is_test_path(path));
    let lines = files.flat_map(|(path, text)| product_lines(text).map(move |(n, line)| (path, n, code(line))));
    let named = lines.filter(|(_, _, line)| names_message(line));
    named
        .map(|(path, n, _)| format!("{path}:{n}: call the field otherwise; `message` is the line's own text"))
        .collect()
}

fn names_message(line: &str) -> bool {
    let logged = MACROS.iter().find_map(|name| Some(&line[line.find(name)?..]));
    logged.is_some_and(|logged| FIELDS.iter().any(|field| logged.contains(field)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_called_message_is_named() {
        let found =
            |line: &str| complaints(&Tree::of(&[("crates/a/src/lib.rs", &format!("//! x\n    {line}\n"))])).len();
        assert_eq!(found("tracing::warn!(queue = %queue, message = %message.id, \"no object\");"), 1);
        assert_eq!(found("tracing::error!(message, \"panicked\");"), 1);
        assert_eq!(found("tracing::error!(%queue, %message, \"no object\");"), 1);
        assert_eq!(found("tracing::warn!(message_id = %message.id, \"no object\");"), 0);
        assert_eq!(found("tracing::error!(cause = message, \"panicked\");"), 0);
        assert_eq!(found("let message = format!(\"a\");"), 0);
    }
}
