//! Links that stand in a text as they are: GFM's "autolinks (extension)", section 6.9, which the parser does not know.
//!
//! `www.`, `http://`, `https://`, `ftp://` and e-mail addresses, outside of links and code. Each byte is looked at a
//! bounded number of times: a domain has at most [`DOMAIN_BYTES_MAX`] bytes.

use pulldown_cmark::{CowStr, Event, LinkType, Tag, TagEnd};
use std::collections::VecDeque;

/// DNS: 253, and some room for a port.
const DOMAIN_BYTES_MAX: usize = 260;

/// Is it worth looking?
pub fn may_be_in(markdown: &str) -> bool {
    let bytes = markdown.as_bytes();
    let marks = [&b"@"[..], b"://", b"ww.", b"WW.", b"wW.", b"Ww."];
    marks.iter().any(|mark| memchr::memmem::find(bytes, mark).is_some())
}

/// Puts link events around them.
pub struct LiteralLinks<'a, I> {
    events: I,
    /// Links in a text, and what is around them.
    ready: VecDeque<Event<'a>>,
    /// Read to see that a text ends.
    behind_text: Option<Event<'a>>,
    /// Links, images and code blocks that are open: no links in them.
    closed_to_links: usize,
}

impl<'a, I: Iterator<Item = Event<'a>>> LiteralLinks<'a, I> {
    pub fn new(events: I) -> Self {
        LiteralLinks { events, ready: VecDeque::new(), behind_text: None, closed_to_links: 0 }
    }

    /// The parser gives a text in pieces: a link may go across them.
    fn whole_text(&mut self, first: CowStr<'a>) -> CowStr<'a> {
        let mut joined = String::new();
        loop {
            match self.events.next() {
                Some(Event::Text(piece)) => {
                    if joined.is_empty() {
                        joined.reserve(first.len() + piece.len() + 32);
                        joined.push_str(&first);
                    }
                    joined.push_str(&piece);
                }
                other => {
                    self.behind_text = other;
                    return if joined.is_empty() { first } else { CowStr::from(joined) };
                }
            }
        }
    }

    fn link(&mut self, text: &CowStr<'a>) -> bool {
        let mut done = 0;
        while let Some(found) = next_link(text, done) {
            if done < found.start {
                self.ready.push_back(Event::Text(piece(text, done, found.start)));
            }
            let shown = piece(text, found.start, found.end);
            let dest_url = CowStr::from(format!("{}{shown}", found.prefix));
            let (title, id) = (CowStr::Borrowed(""), CowStr::Borrowed(""));
            self.ready.push_back(Event::Start(Tag::Link { link_type: LinkType::Autolink, dest_url, title, id }));
            self.ready.push_back(Event::Text(shown));
            self.ready.push_back(Event::End(TagEnd::Link));
            done = found.end;
        }
        if done > 0 && done < text.len() {
            self.ready.push_back(Event::Text(piece(text, done, text.len())));
        }
        done > 0
    }
}

impl<'a, I: Iterator<Item = Event<'a>>> Iterator for LiteralLinks<'a, I> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        if let Some(event) = self.ready.pop_front() {
            return Some(event);
        }
        let event = match self.behind_text.take() {
            Some(event) => event,
            None => self.events.next()?,
        };
        match event {
            Event::Text(text) if self.closed_to_links == 0 => {
                let text = self.whole_text(text);
                return if self.link(&text) { self.ready.pop_front() } else { Some(Event::Text(text)) };
            }
            Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::CodeBlock(_)) => self.closed_to_links += 1,
            Event::End(TagEnd::Link | TagEnd::Image | TagEnd::CodeBlock) => self.closed_to_links -= 1,
            _ => {}
        }
        Some(event)
    }
}

fn piece<'a>(text: &CowStr<'a>, start: usize, end: usize) -> CowStr<'a> {
    match text {
        CowStr::Borrowed(text) => CowStr::Borrowed(&text[start..end]),
        owned => CowStr::from(owned[start..end].to_owned()),
    }
}

#[derive(Debug, PartialEq)]
struct Found {
    start: usize,
    end: usize,
    /// What its address has before its text.
    prefix: &'static str,
}

/// The first link that begins at `floor` or later.
fn next_link(text: &str, floor: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    memchr::memchr3_iter(b':', b'@', b'.', &bytes[floor..]).find_map(|step| {
        let at = floor + step;
        match bytes[at] {
            b':' => address(text, floor, at),
            b'@' => email(bytes, floor, at),
            _ => www(text, floor, at),
        }
    })
}

fn www(text: &str, floor: usize, dot: usize) -> Option<Found> {
    let start = dot.checked_sub(3).filter(|start| *start >= floor)?;
    let bytes = text.as_bytes();
    let is_mark = bytes[start..dot].eq_ignore_ascii_case(b"www");
    let may_begin = start == 0 || is_space_or_delimiter(bytes[start - 1]);
    if !is_mark || !may_begin {
        return None;
    }
    let domain = domain_bytes(&text[start..], false)?;
    Some(Found { start, end: link_end(text, start, start + domain), prefix: "http://" })
}

fn is_space_or_delimiter(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'*' | b'_' | b'~' | b'(')
}

/// `colon` stands behind a scheme.
fn address(text: &str, floor: usize, colon: usize) -> Option<Found> {
    let bytes = text.as_bytes();
    if !bytes[colon..].starts_with(b"://") {
        return None;
    }
    let length = ["https", "http", "ftp"].iter().map(|scheme| scheme.len()).find(|length| {
        let start = colon.checked_sub(*length).filter(|start| *start >= floor);
        start.is_some_and(|start| {
            let is_known = matches!(&*bytes[start..colon].to_ascii_lowercase(), b"https" | b"http" | b"ftp");
            is_known && (start == 0 || !bytes[start - 1].is_ascii_alphanumeric())
        })
    })?;
    let start = colon - length;
    let domain = domain_bytes(&text[colon + 3..], true)?;
    Some(Found { start, end: link_end(text, start, colon + 3 + domain), prefix: "" })
}

/// Letters, digits, `-`, `_` and dots; no `_` in the last two parts. `None` if that is no domain.
fn domain_bytes(text: &str, may_be_one_part: bool) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let near = &text[..text.floor_char_boundary(DOMAIN_BYTES_MAX + 4)];
    let end = near.find(|c| !is_part(c)).unwrap_or(near.len());
    if end > DOMAIN_BYTES_MAX {
        return None;
    }
    let domain = text[..end].trim_end_matches('.');
    let mut parts = domain.rsplit('.');
    let (last, before) = (parts.next()?, parts.next());
    let is_plain = !last.contains('_') && !before.is_some_and(|part| part.contains('_'));
    let is_whole = !domain.is_empty() && !domain.split('.').any(str::is_empty);
    (is_plain && is_whole && (may_be_one_part || before.is_some())).then_some(domain.len())
}

/// Everything up to white space or `<`, without what punctuation ends a sentence rather than an address.
fn link_end(text: &str, start: usize, domain_end: usize) -> usize {
    let behind = &text[domain_end..];
    let mut end = domain_end + behind.find(|c: char| c == '<' || c.is_whitespace()).unwrap_or(behind.len());
    let bytes = text.as_bytes();
    let count = |byte: u8| bytes[start..end].iter().filter(|b| **b == byte).count();
    let mut unopened = count(b')').saturating_sub(count(b'('));
    while end > domain_end {
        match bytes[end - 1] {
            b'?' | b'!' | b'.' | b',' | b':' | b'*' | b'_' | b'~' | b'\'' | b'"' => end -= 1,
            b')' if unopened > 0 => {
                unopened -= 1;
                end -= 1;
            }
            b';' => {
                let name = bytes[domain_end..end - 1].iter().rposition(|byte| !byte.is_ascii_alphanumeric());
                let ampersand = name.map(|at| domain_end + at).filter(|at| bytes[*at] == b'&' && at + 2 < end);
                end = ampersand.unwrap_or(end - 1);
            }
            _ => break,
        }
    }
    end
}

fn email(bytes: &[u8], floor: usize, at: usize) -> Option<Found> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'+');
    let is_domain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let name = bytes[floor..at].iter().rev().take_while(|byte| is_name(byte)).count();
    let domain = bytes[at + 1..].iter().take_while(|byte| is_domain(byte)).count();
    let mut end = at + 1 + domain;
    while end > at + 1 && bytes[end - 1] == b'.' {
        end -= 1;
    }
    let domain = &bytes[at + 1..end];
    let is_whole = domain.contains(&b'.') && !domain.split(|byte| *byte == b'.').any(<[u8]>::is_empty);
    if name == 0 || !is_whole || matches!(domain.last(), Some(b'-' | b'_')) || bytes.get(end) == Some(&b'@') {
        return None;
    }
    let start = at - name;
    match bytes[floor..start].ends_with(b"mailto:") {
        true => Some(Found { start: start - "mailto:".len(), end, prefix: "" }),
        false => Some(Found { start, end, prefix: "mailto:" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The links in a text, each as `address` or, where its text differs, `text -> address`.
    fn links(text: &str) -> Vec<String> {
        let (mut found, mut done) = (Vec::new(), 0);
        while let Some(link) = next_link(text, done) {
            let shown = &text[link.start..link.end];
            found.push(format!("{}{shown}", link.prefix));
            done = link.end;
        }
        found
    }

    #[test]
    fn links_are_found_as_gfm_says() {
        for (text, expected) in [
            ("www.commonmark.org", &["http://www.commonmark.org"][..]),
            ("Visit www.commonmark.org/help for more.", &["http://www.commonmark.org/help"]),
            (
                "Visit www.commonmark.org. Or www.commonmark.org/a.b.",
                &["http://www.commonmark.org", "http://www.commonmark.org/a.b"],
            ),
            ("www.google.com/search?q=Markup+(business)", &["http://www.google.com/search?q=Markup+(business)"]),
            ("www.google.com/search?q=Markup+(business)))", &["http://www.google.com/search?q=Markup+(business)"]),
            ("(www.google.com/search?q=Markup+(business))", &["http://www.google.com/search?q=Markup+(business)"]),
            ("www.google.com/search?q=(business))+ok", &["http://www.google.com/search?q=(business))+ok"]),
            ("www.google.com/search?q=commonmark&hl=en", &["http://www.google.com/search?q=commonmark&hl=en"]),
            ("www.google.com/search?q=commonmark&hl;", &["http://www.google.com/search?q=commonmark"]),
            ("www.commonmark.org/he<lp", &["http://www.commonmark.org/he"]),
            ("http://commonmark.org", &["http://commonmark.org"]),
            (
                "(Visit https://encrypted.google.com/search?q=Markup+(business))",
                &["https://encrypted.google.com/search?q=Markup+(business)"],
            ),
            ("\"https://a.b/c\" HTTPS://A.B", &["https://a.b/c", "HTTPS://A.B"]),
            ("ftp://foo.bar.baz x http://localhost:8080/a", &["ftp://foo.bar.baz", "http://localhost:8080/a"]),
            ("foo@bar.baz", &["mailto:foo@bar.baz"]),
            ("hello@mail+xyz.example isn't valid, but hello+xyz@mail.example is.", &["mailto:hello+xyz@mail.example"]),
            ("a.b-c_d@a.b a.b-c_d@a.b. a.b-c_d@a.b- a.b-c_d@a.b_", &["mailto:a.b-c_d@a.b", "mailto:a.b-c_d@a.b"]),
            ("mailto:foo@bar.baz", &["mailto:foo@bar.baz"]),
            (
                "xhttp://a.b xwww.a.b www. www.a_b.c http:// http://_.b a@b @a.b a@b@c.d javascript://a.b",
                &["mailto:b@c.d"],
            ),
            ("*www.a.b* _www.c.d/_ _www.e.f_", &["http://www.a.b", "http://www.c.d/"]),
            ("é http://bücher.example/é ü", &["http://bücher.example/é"]),
            ("", &[]),
        ] {
            assert_eq!(links(text), expected, "{text}");
        }
    }
}
