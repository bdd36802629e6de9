//! What a field says: its bytes without the quotes around them, doubled ones undone.

/// Bytes that a caller may put behind the content without another allocation.
pub const SLACK: usize = 32;

/// How a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Without quotes around it.
    Plain,
    /// Between quotes, none inside.
    Quoted,
    /// Between quotes, with doubled ones inside.
    Doubled,
    /// Text follows the closing quote: content, too, but no RFC 4180.
    Loose,
}

impl Shape {
    #[inline]
    pub fn of(raw: &[u8], quote: Option<u8>) -> Self {
        let Some(quote) = quote.filter(|quote| raw.first() == Some(quote)) else { return Shape::Plain };
        let inner = &raw[1..];
        let mut quotes = memchr::memchr_iter(quote, inner);
        let Some(first) = quotes.next() else { return Shape::Loose };
        if first + 1 == inner.len() {
            return Shape::Quoted;
        }
        let mut at = first;
        while inner.get(at + 1) == Some(&quote) {
            quotes.next();
            match quotes.next() {
                Some(next) => at = next,
                None => return Shape::Loose,
            }
        }
        if at + 1 == inner.len() { Shape::Doubled } else { Shape::Loose }
    }
}

/// Writes what a quoted field says; `raw` starts with a quote.
pub fn unquote(raw: &[u8], quote: u8, content: &mut Vec<u8>) {
    content.clear();
    // no more than that: a value can be 8 MiB, and doubling would hold twice as much
    content.reserve_exact(raw.len() + SLACK);
    let mut rest = &raw[1..];
    while let Some(at) = memchr::memchr(quote, rest) {
        content.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.first() != Some(&quote) {
            break;
        }
        content.push(quote);
        rest = &rest[1..];
    }
    content.extend_from_slice(rest);
}

/// What any field says; `scratch` is used where it differs from what is written.
pub fn content<'a>(raw: &'a [u8], quote: Option<u8>, scratch: &'a mut Vec<u8>) -> &'a [u8] {
    match (Shape::of(raw, quote), quote) {
        (Shape::Quoted, _) => &raw[1..raw.len() - 1],
        (Shape::Doubled | Shape::Loose, Some(quote)) => {
            unquote(raw, quote, scratch);
            scratch
        }
        _ => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        use Shape::{Doubled, Loose, Plain, Quoted};
        for (raw, shape, says) in [
            ("", Plain, ""),
            ("a\"b\"", Plain, "a\"b\""),
            ("\"\"", Quoted, ""),
            ("\"a,\nb\"", Quoted, "a,\nb"),
            ("\"\"\"\"", Doubled, "\""),
            ("\"a\"\"b\"", Doubled, "a\"b"),
            ("\"\"\"a\"\"\"", Doubled, "\"a\""),
            ("\"a\"b", Loose, "ab"),
            ("\"a\"b\"", Loose, "ab\""),
            ("\"a\"\"b\"c\"\"", Loose, "a\"bc\"\""),
            ("\"\"a\"", Loose, "a\""),
        ] {
            let mut scratch = Vec::new();
            assert_eq!(Shape::of(raw.as_bytes(), Some(b'"')), shape, "{raw}");
            assert_eq!(content(raw.as_bytes(), Some(b'"'), &mut scratch), says.as_bytes(), "{raw}");
            assert_eq!(content(raw.as_bytes(), None, &mut scratch), raw.as_bytes(), "{raw}");
        }
    }
}
