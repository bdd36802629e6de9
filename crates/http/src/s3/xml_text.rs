//! The XML that leaves the door: a request id in every error, and control characters as references.
//!
//! `s3s` writes the documents; this adds what it leaves out. Keys may hold any character but NUL, and a parser turns a
//! raw carriage return into a line feed.

use bytes::Bytes;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Text as the content of an element.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters as `&#x1;`. XML 1.0 has no better name for most of them; S3 does the same, and
/// `encoding-type=url` is the way to keys that hold them.
pub fn reference_controls(document: Bytes) -> Bytes {
    let is_control = |b: &u8| *b < 0x20 && *b != b'\n' && *b != b'\t';
    if !document.iter().any(is_control) {
        return document;
    }
    let text = String::from_utf8_lossy(&document);
    let mut out = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if c.is_ascii() && is_control(&(c as u8)) {
            let _ = write!(out, "&#x{:X};", c as u32);
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// An error document with its details and request id before the closing tag.
pub fn complete_error(document: &str, details: &[(&'static str, String)], request_id: &str) -> String {
    let body: Cow<'_, str> = match document.rfind("</Error>") {
        Some(end) => document[..end].into(),
        None => "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error>".into(),
    };
    let mut out = body.into_owned();
    for (name, value) in details {
        let _ = write!(out, "<{name}>{}</{name}>", escape(value));
    }
    if !out.contains("<RequestId>") {
        let _ = write!(out, "<RequestId>{request_id}</RequestId>");
    }
    out.push_str("</Error>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_gets_its_request_id() {
        let done = complete_error("<Error><Code>X</Code></Error>", &[("Region", "a<b".to_owned())], "42");
        assert_eq!(done, "<Error><Code>X</Code><Region>a&lt;b</Region><RequestId>42</RequestId></Error>");
    }

    #[test]
    fn control_characters_become_references() {
        assert_eq!(reference_controls(Bytes::from_static(b"<Key>a\r\x01\n</Key>")), "<Key>a&#xD;&#x1;\n</Key>");
    }
}
