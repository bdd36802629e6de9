//! Where a result goes: `"{dir}{stem}.html"` filled in from the input's key.

use crate::object::{NameError, ObjectKey};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::sync::Arc;

/// Text with placeholders: `{key}` the whole key, `{dir}` up to and with the last slash, `{name}` behind it, `{stem}`
/// the name without its last extension, `{ext}` that extension with its dot, `{bucket}`, `{rule}`. `{{` and `}}` are
/// braces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct KeyTemplate(Arc<str>);

#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub rule: &'a str,
}

const PLACEHOLDERS: &str = "{key}, {dir}, {name}, {stem}, {ext}, {bucket}, {rule}";

impl KeyTemplate {
    pub fn parse(text: &str) -> Result<Self, String> {
        let template = KeyTemplate(text.into());
        let sample = KeyParts { bucket: "bucket", key: "dir/name.ext", rule: "rule" };
        let filled = template.expand(sample)?;
        ObjectKey::parse(&filled).map_err(|e| format!("output key {text:?}: {e}"))?;
        Ok(template)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Fails only where the filled-in key breaks S3's rules (too long).
    pub fn key_for(&self, parts: KeyParts<'_>) -> Result<ObjectKey, NameError> {
        let filled = self.expand(parts).expect("placeholders were checked when the template was parsed");
        ObjectKey::parse(&filled)
    }

    fn expand(&self, parts: KeyParts<'_>) -> Result<String, String> {
        let (dir, name) = parts.key.rsplit_once('/').map_or(("", parts.key), |(_, n)| split_at_name(parts.key, n));
        let (stem, ext) = match name.rfind('.') {
            Some(dot) if dot > 0 => name.split_at(dot),
            _ => (name, ""),
        };
        let filled = self.pieces()?.into_iter().map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Key => parts.key,
            Piece::Dir => dir,
            Piece::Name => name,
            Piece::Stem => stem,
            Piece::Ext => ext,
            Piece::Bucket => parts.bucket,
            Piece::Rule => parts.rule,
        });
        Ok(filled.collect())
    }

    /// In order. The error says what is wrong with the text.
    pub(crate) fn pieces(&self) -> Result<Vec<Piece<'_>>, String> {
        let mut pieces = Vec::new();
        let mut rest: &str = &self.0;
        while let Some(at) = rest.find(['{', '}']) {
            pieces.push(Piece::Text(&rest[..at]));
            rest = &rest[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                pieces.push(Piece::Text(&rest[..1]));
                rest = &rest[2..];
                continue;
            }
            let end = rest.find('}').filter(|_| rest.starts_with('{'));
            let end = end.ok_or_else(|| format!("output key {:?} has a single brace; write {{{{ or }}}}", self.0))?;
            pieces.push(placeholder(&rest[1..end])?);
            rest = &rest[end + 1..];
        }
        pieces.push(Piece::Text(rest));
        Ok(pieces)
    }
}

/// A piece of a template: text as it stands, or a part of the input's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Key,
    Dir,
    Name,
    Stem,
    Ext,
    Bucket,
    Rule,
}

fn placeholder(name: &str) -> Result<Piece<'_>, String> {
    Ok(match name {
        "key" => Piece::Key,
        "dir" => Piece::Dir,
        "name" => Piece::Name,
        "stem" => Piece::Stem,
        "ext" => Piece::Ext,
        "bucket" => Piece::Bucket,
        "rule" => Piece::Rule,
        other => return Err(format!("output key has {{{other}}}; known are {PLACEHOLDERS}")),
    })
}

/// The directory with its slash, and the name behind it.
fn split_at_name<'a>(key: &'a str, name: &'a str) -> (&'a str, &'a str) {
    (&key[..key.len() - name.len()], name)
}

impl<'de> Deserialize<'de> for KeyTemplate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        KeyTemplate::parse(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, key: &str) -> String {
        let parts = KeyParts { bucket: "uploads", key, rule: "r" };
        KeyTemplate::parse(template).expect(template).key_for(parts).expect(key).to_string()
    }

    #[test]
    fn placeholders_take_the_keys_parts() {
        assert_eq!(filled("{key}", "a/b.txt"), "a/b.txt");
        assert_eq!(filled("{dir}{stem}.html", "a/b/c.d.md"), "a/b/c.d.html");
        assert_eq!(filled("{bucket}/{rule}/{name}{ext}", ".hidden"), "uploads/r/.hidden");
        assert_eq!(filled("{{{name}}}", "x"), "{x}");
        assert_eq!(filled("{dir}|{name}|", "a//"), "a//||");
    }

    #[test]
    fn wrong_templates_are_refused_when_loaded() {
        for bad in ["", "{nme}", "{", "a}", "{key", "\0"] {
            assert!(KeyTemplate::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_result_key_that_grows_too_long_is_an_error_and_not_a_cut() {
        let template = KeyTemplate::parse("results/{key}").expect("template");
        let key = "k".repeat(1024);
        assert!(template.key_for(KeyParts { bucket: "b", key: &key, rule: "r" }).is_err());
    }
}
