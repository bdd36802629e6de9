//! Which objects start a rule: keys are ANDed, arrays are ORed, as in EventBridge patterns.

use crate::size::ByteSize;
use serde::{Deserialize, Serialize};

/// `match = { key = [{ prefix = "in/", suffix = ".csv" }], size = [{ lte = "1TiB" }] }`. Nothing given matches all.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pattern {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<KeyPattern>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub size: Vec<SizePattern>,
    /// A type (`text/plain`) or a family (`text/*`); parameters such as the charset are not looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub content_type: Vec<String>,
}

/// All that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyPattern {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// `*` any run without `/`, `**` any run, `?` one character without `/`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_suffix: Option<String>,
}

/// All that is given must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SizePattern {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lt: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lte: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gt: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gte: Option<ByteSize>,
}

/// What a pattern looks at.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub key: &'a str,
    pub size: u64,
    pub content_type: Option<&'a str>,
}

impl Pattern {
    pub fn matches(&self, subject: Subject<'_>) -> bool {
        any(&self.key, |p| p.matches(subject.key))
            && any(&self.size, |p| p.matches(subject.size))
            && any(&self.content_type, |p| content_type_matches(p, subject.content_type))
    }
}

/// An array that is not given says nothing; one that is given needs one hit.
fn any<T>(patterns: &[T], hit: impl Fn(&T) -> bool) -> bool {
    patterns.is_empty() || patterns.iter().any(hit)
}

impl KeyPattern {
    fn matches(&self, key: &str) -> bool {
        let holds = |given: &Option<String>, test: &dyn Fn(&str) -> bool| given.as_deref().is_none_or(test);
        holds(&self.prefix, &|p| key.starts_with(p))
            && holds(&self.suffix, &|s| key.ends_with(s))
            && holds(&self.equals, &|e| key == e)
            && holds(&self.glob, &|g| glob_matches(g, key))
            && holds(&self.not_prefix, &|p| !key.starts_with(p))
            && holds(&self.not_suffix, &|s| !key.ends_with(s))
    }
}

impl SizePattern {
    fn matches(&self, size: u64) -> bool {
        self.lt.is_none_or(|n| size < n.0)
            && self.lte.is_none_or(|n| size <= n.0)
            && self.gt.is_none_or(|n| size > n.0)
            && self.gte.is_none_or(|n| size >= n.0)
    }
}

fn content_type_matches(pattern: &str, content_type: Option<&str>) -> bool {
    let Some(given) = content_type else { return false };
    let given = given.split(';').next().unwrap_or_default().trim();
    match pattern.strip_suffix("/*") {
        Some(family) => given.split_once('/').is_some_and(|(f, _)| f.eq_ignore_ascii_case(family)),
        None => given.eq_ignore_ascii_case(pattern),
    }
}

/// A table of reachable positions, one row at a time: the time is glob times text, however many stars there are.
fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    // reached[i]: the pattern up to here can end at text position i
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    let mut g = 0;
    while g < glob.len() {
        let double_star = glob[g] == '*' && glob.get(g + 1) == Some(&'*');
        let mut next = vec![false; text.len() + 1];
        if glob[g] == '*' {
            let mut open = false;
            for i in 0..=text.len() {
                open = reached[i] || (open && (double_star || text[i - 1] != '/'));
                next[i] = open;
            }
        } else {
            for i in 0..text.len() {
                let fits = if glob[g] == '?' { text[i] != '/' } else { glob[g] == text[i] };
                next[i + 1] = reached[i] && fits;
            }
        }
        reached = next;
        g += if double_star { 2 } else { 1 };
    }
    reached[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(key: &str, size: u64) -> Subject<'_> {
        Subject { key, size, content_type: Some("text/csv; charset=utf-8") }
    }

    #[test]
    fn an_empty_pattern_matches_all() {
        assert!(Pattern::default().matches(subject("x", 0)));
    }

    #[test]
    fn arrays_are_ored_and_keys_are_anded() {
        let pattern: Pattern = serde_json::from_str(
            r#"{"key":[{"prefix":"a/","suffix":".csv"},{"equals":"b"}],"size":[{"gte":1,"lt":"1KiB"}]}"#,
        )
        .expect("pattern");
        for (key, size, expected) in
            [("a/x.csv", 1, true), ("b", 1023, true), ("a/x.txt", 1, false), ("b", 0, false), ("b", 1024, false)]
        {
            assert_eq!(pattern.matches(subject(key, size)), expected, "{key} {size}");
        }
    }

    #[test]
    fn globs_stop_at_slashes_unless_doubled() {
        for (glob, key, expected) in [
            ("*.csv", "a.csv", true),
            ("*.csv", "d/a.csv", false),
            ("**.csv", "d/a.csv", true),
            ("d/*/x?", "d/e/xy", true),
            ("d/*/x?", "d/e/f/xy", false),
            ("", "", true),
            ("*", "", true),
            ("é?", "éß", true),
        ] {
            assert_eq!(glob_matches(glob, key), expected, "{glob} {key}");
        }
        assert!(!glob_matches(&"*a".repeat(200), &"a".repeat(199)));
    }

    #[test]
    fn content_types_match_by_type_or_family() {
        assert!(content_type_matches("text/*", Some("text/csv; charset=utf-8")));
        assert!(content_type_matches("text/csv", Some("Text/CSV")));
        assert!(!content_type_matches("text/csv", None));
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(serde_json::from_str::<Pattern>(r#"{"keys":[]}"#).is_err());
        assert!(serde_json::from_str::<KeyPattern>(r#"{"prefx":"a"}"#).is_err());
    }
}
