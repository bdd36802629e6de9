//! What HTML may be in a sanitised result: the one list of elements, attributes and URL schemes, and `ammonia` set up by it.
//!
//! No element whose content is not parsed as HTML (script, style, svg, math, iframe, textarea and the like), no event
//! handler, no style, no id or name, no scheme that runs or embeds anything.

use ammonia::Builder;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

pub const LINK_REL: &str = "noopener nofollow";
pub const SCHEMES: [&str; 5] = ["http", "https", "mailto", "tel", "ftp"];

/// What a place in a document means for an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Block,
    /// Within a line of text.
    Inline,
    /// Inline, and one that HTML's parser opens again behind a block that closed it.
    Formatting,
    /// Without content or end tag; inline but for `hr` and `col`.
    Void,
}

pub struct Element {
    pub name: &'static str,
    pub kind: Kind,
    attributes: &'static [&'static str],
}

const ANYWHERE: [&str; 3] = ["title", "lang", "dir"];
const ALIGN: &[&str] = &["align"];
const CELL: &[&str] = &["align", "valign", "colspan", "rowspan", "scope", "width"];

const fn element(name: &'static str, kind: Kind, attributes: &'static [&'static str]) -> Element {
    Element { name, kind, attributes }
}

/// Sorted by name.
#[rustfmt::skip]
static ELEMENTS: [Element; 72] = {
    use Kind::*;
    [
        element("a", Formatting, &["href"]), element("abbr", Inline, &[]), element("article", Block, &[]),
        element("aside", Block, &[]), element("b", Formatting, &[]), element("bdi", Inline, &[]),
        element("bdo", Inline, &[]), element("blockquote", Block, &["cite"]), element("br", Void, &[]),
        element("caption", Block, ALIGN), element("center", Block, &[]), element("cite", Inline, &[]),
        element("code", Formatting, &["class"]), element("col", Void, &["span", "width"]),
        element("colgroup", Block, &["span"]), element("dd", Block, &[]), element("del", Inline, &[]),
        element("details", Block, &["open"]), element("dfn", Inline, &[]), element("div", Block, ALIGN),
        element("dl", Block, &[]), element("dt", Block, &[]), element("em", Formatting, &[]),
        element("figcaption", Block, &[]), element("figure", Block, &[]), element("footer", Block, &[]),
        element("h1", Block, ALIGN), element("h2", Block, ALIGN), element("h3", Block, ALIGN),
        element("h4", Block, ALIGN), element("h5", Block, ALIGN), element("h6", Block, ALIGN),
        element("header", Block, &[]), element("hr", Void, &[]), element("i", Formatting, &[]),
        element("img", Void, &["src", "alt", "width", "height", "align"]),
        element("input", Void, &["type", "checked", "disabled"]), element("ins", Inline, &[]),
        element("kbd", Inline, &[]), element("li", Block, &["value"]), element("main", Block, &[]),
        element("mark", Inline, &[]), element("nav", Block, &[]), element("ol", Block, &["start", "reversed"]),
        element("p", Block, ALIGN), element("pre", Block, &[]), element("q", Inline, &["cite"]),
        element("rp", Inline, &[]), element("rt", Inline, &[]), element("ruby", Inline, &[]),
        element("s", Formatting, &[]), element("samp", Inline, &[]), element("section", Block, &[]),
        element("small", Formatting, &[]), element("span", Inline, &[]), element("strike", Formatting, &[]),
        element("strong", Formatting, &[]), element("sub", Inline, &[]), element("summary", Block, &[]),
        element("sup", Inline, &[]), element("table", Block, &["align", "width"]), element("tbody", Block, ALIGN),
        element("td", Block, CELL), element("tfoot", Block, ALIGN), element("th", Block, CELL),
        element("thead", Block, ALIGN), element("time", Inline, &["datetime"]), element("tr", Block, ALIGN),
        element("tt", Formatting, &[]), element("u", Formatting, &[]), element("ul", Block, &[]),
        element("var", Inline, &[]),
    ]
};

/// `name` is in lower case.
pub fn element_named(name: &str) -> Option<&'static Element> {
    ELEMENTS.binary_search_by(|element| element.name.cmp(name)).ok().map(|at| &ELEMENTS[at])
}

impl Element {
    /// The value as it may stand, or none.
    pub fn attribute<'v>(&self, name: &str, value: &'v str) -> Option<Cow<'v, str>> {
        if !self.attributes.contains(&name) && !ANYWHERE.contains(&name) {
            return None;
        }
        let is_allowed = match name {
            "href" | "src" | "cite" => is_allowed_url(value),
            "class" => is_code_language(value),
            // a document shows what was ticked; it asks nothing
            "type" => value.eq_ignore_ascii_case("checkbox"),
            "checked" | "disabled" => return Some(Cow::Borrowed("")),
            _ => true,
        };
        is_allowed.then_some(Cow::Borrowed(value))
    }
}

fn is_code_language(class: &str) -> bool {
    class.starts_with("language-") && !class.contains(|c: char| c.is_whitespace())
}

/// A relative URL, or one of [`SCHEMES`] that browsers can read. What looks like a scheme and is none of them is refused,
/// so a control character, an entity or a space in it changes nothing.
pub fn is_allowed_url(url: &str) -> bool {
    let Some(at) = url.find([':', '/', '?', '#', '\\']) else { return true };
    if url.as_bytes()[at] != b':' {
        return true;
    }
    let is_listed = SCHEMES.iter().any(|scheme| url[..at].eq_ignore_ascii_case(scheme));
    is_listed && (has_plain_host(&url[at + 1..]) || url::Url::parse(url).is_ok())
}

/// The quick answer for nearly all: a host of letters, digits, `-` and dots whose last part is no number.
fn has_plain_host(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix("//") else { return false };
    let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    let mut last = None;
    for part in host.split('.') {
        // "xn--" begins an encoded name, which may be a wrong one
        if part.starts_with('-') || part.contains("--") || !part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            return false;
        }
        last = part.bytes().next();
    }
    last.is_some_and(|first| first.is_ascii_alphabetic())
}

static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let mut builder = Builder::empty();
    let attributes = ELEMENTS.iter().map(|element| (element.name, element.attributes.iter().copied().collect()));
    builder
        .tags(ELEMENTS.iter().map(|element| element.name).collect())
        .clean_content_tags(HashSet::from(["script", "style"]))
        .tag_attributes(attributes.collect::<HashMap<_, HashSet<_>>>())
        .generic_attributes(HashSet::from(ANYWHERE))
        .url_schemes(HashSet::from(SCHEMES))
        .link_rel(Some(LINK_REL))
        // a document's own `rel` is gone when this one is asked about
        .attribute_filter(|element, attribute, value| match attribute {
            "rel" => Some(Cow::Borrowed(value)),
            _ => element_named(element)?.attribute(attribute, value),
        });
    builder
});

/// HTML with nothing in it but what the list allows, on the parser of browsers.
pub fn sanitise(html: &str) -> String {
    SANITISER.clean(html).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(ELEMENTS.windows(2).all(|pair| pair[0].name < pair[1].name));
    }

    #[test]
    fn urls_that_run_something_are_refused() {
        for url in [
            "",
            "a",
            "a/b:c",
            "?a:b",
            "#a:b",
            "//a.b/c",
            "http://a.b",
            "HTTPS://a.b/?q=1#x",
            "mailto:a@b.c",
            "tel:+1",
            "ftp://a.b",
        ] {
            assert!(is_allowed_url(url), "{url}");
        }
        for url in [
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:x",
            "\u{1}javascript:x",
            "java\tscript:x",
            "java\nscript:x",
            "vbscript:x",
            "data:text/html,x",
            "file:///etc/passwd",
            "blob:x",
            "javascript&colon;x:y",
            "feed:javascript:x",
            "view-source:x",
            ":x",
            "http://[x",
            "http://",
            "\u{feff}javascript:x",
            "ｊavascript:x",
            "about:blank",
            "http://xn--a.b",
            "http://1.2.3.999",
        ] {
            assert!(!is_allowed_url(url), "{url:?}");
        }
    }
}
