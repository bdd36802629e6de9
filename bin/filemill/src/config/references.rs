//! `${env:NAME}` and `${file:path}` in a config's texts become what they refer to; `$${` is a plain `${`.
//!
//! An error names what is missing, never a value. [`Resolved::redact`] takes values back out of later messages.

use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A secret is a line or a certificate, not a file of data.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// What was put in place of references.
#[derive(Default)]
pub struct Resolved {
    /// (reference, value)
    values: Vec<(String, String)>,
}

/// Something a reference names is not there; `at` is the text's place in the file.
#[derive(Debug)]
pub struct ReferenceError {
    pub at: usize,
    pub message: String,
}

/// Where references look.
pub struct Sources<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Relative `${file:...}` paths start here.
    pub folder: &'a Path,
}

/// Resolves every text of the table in place.
pub fn resolve(table: &mut Spanned<DeTable<'_>>, sources: &Sources<'_>) -> Result<Resolved, ReferenceError> {
    let mut resolved = Resolved::default();
    resolve_table(table.get_mut(), sources, &mut resolved)?;
    Ok(resolved)
}

fn resolve_table(table: &mut DeTable<'_>, sources: &Sources<'_>, out: &mut Resolved) -> Result<(), ReferenceError> {
    for (_, value) in table.iter_mut() {
        resolve_value(value, sources, out)?;
    }
    Ok(())
}

fn resolve_value(
    value: &mut Spanned<DeValue<'_>>,
    sources: &Sources<'_>,
    out: &mut Resolved,
) -> Result<(), ReferenceError> {
    let at = value.span().start;
    match value.get_mut() {
        DeValue::String(text) if text.contains("${") => {
            let new = resolve_text(text, sources, out).map_err(|message| ReferenceError { at, message })?;
            *text = new.into();
        }
        DeValue::Array(items) => {
            for item in items.iter_mut() {
                resolve_value(item, sources, out)?;
            }
        }
        DeValue::Table(table) => resolve_table(table, sources, out)?,
        _ => {}
    }
    Ok(())
}

fn resolve_text(text: &str, sources: &Sources<'_>, out: &mut Resolved) -> Result<String, String> {
    let mut new = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            new.push_str(before);
            new.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        new.push_str(&rest[..at]);
        let end = rest[at..].find('}').ok_or("a \"${\" has no \"}\"; write \"$${\" for a plain \"${\"")? + at;
        let value = look_up(&rest[at + 2..end], sources)?;
        out.values.push((rest[at..=end].to_owned(), value.clone()));
        new.push_str(&value);
        rest = &rest[end + 1..];
    }
    new.push_str(rest);
    Ok(new)
}

fn look_up(reference: &str, sources: &Sources<'_>) -> Result<String, String> {
    match reference.split_once(':') {
        Some(("env", name)) => (sources.env)(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("the environment variable {name} is not set (${{env:{name}}} refers to it)")),
        Some(("file", path)) => read_secret(&sources.folder.join(path)),
        _ => Err(format!(
            "${{{reference}}} is no reference; known are ${{env:NAME}} and ${{file:path}}, and \"$${{\" is a plain \"${{\""
        )),
    }
}

/// The file's text without the line end that editors put behind it.
fn read_secret(path: &Path) -> Result<String, String> {
    let wrong =
        |e: &dyn std::fmt::Display| format!("cannot read {}: {e} (a ${{file:...}} refers to it)", path.display());
    let size = std::fs::metadata(path).map_err(|e| wrong(&e))?.len();
    if size > SECRET_BYTES_MAX {
        return Err(wrong(&format_args!("it has {size} bytes; a secret has at most {SECRET_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

impl Resolved {
    /// The message with every value put back to its reference.
    pub fn redact(&self, message: &str) -> String {
        self.values.iter().filter(|(_, value)| !value.is_empty()).fold(
            message.to_owned(),
            |text, (reference, value)| {
                let quoted = format!("{value:?}");
                text.replace(quoted.trim_matches('"'), reference).replace(value.as_str(), reference)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str) -> Result<String, String> {
        let env = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
        let sources = Sources { env: &env, folder: Path::new("/nowhere") };
        resolve_text(text, &sources, &mut Resolved::default())
    }

    #[test]
    fn references_stand_anywhere_in_a_text() {
        assert_eq!(resolved("Bearer ${env:TOKEN}!"), Ok("Bearer s3cret!".into()));
        assert_eq!(resolved("no $ reference {x}"), Ok("no $ reference {x}".into()));
        assert_eq!(resolved("$${env:TOKEN}"), Ok("${env:TOKEN}".into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(resolved("${env:NOPE}").expect_err("missing").contains("NOPE"));
        assert!(resolved("${file:secret}").expect_err("missing").contains("/nowhere/secret"));
        assert!(resolved("${vault:x}").expect_err("unknown").contains("${vault:x}"));
        assert!(resolved("${env:TOKEN").is_err());
    }

    #[test]
    fn a_file_loses_only_its_last_line_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("secret"), "a b\n c\r\n").expect("write");
        assert_eq!(read_secret(&folder.path().join("secret")), Ok("a b\n c".into()));
    }
}
