//! A page around a document: doctype, charset, viewport, title and a small stylesheet of its own; nothing is loaded.

use super::escape::push_text;
use super::syntax;
use pulldown_cmark::{Event, Tag, TagEnd};

const HEAD: &str = "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>";

const STYLE: &str = "</title>\n<style>\n\
    body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.6 system-ui, sans-serif; color-scheme: light dark; }\n\
    pre, code { font-family: ui-monospace, monospace; font-size: 0.9em; }\n\
    pre { padding: 0.75rem 1rem; overflow-x: auto; background: #8882; border-radius: 0.25rem; }\n\
    blockquote { margin-inline: 0; padding-inline-start: 1rem; border-inline-start: 0.25rem solid #8886; }\n\
    table { border-collapse: collapse; }\n\
    th, td { padding: 0.25rem 0.75rem; border: 1px solid #8886; }\n\
    img { max-width: 100%; }\n\
    </style>\n</head>\n<body>\n<main>\n";

const END: &str = "</main>\n</body>\n</html>\n";

/// `fallback` names a document that has no heading.
pub fn page(title: Option<&str>, markdown: &str, fallback: &str, html: &str) -> String {
    let title = title.map(str::to_owned).or_else(|| first_heading(markdown));
    let mut page = String::with_capacity(HEAD.len() + STYLE.len() + END.len() + html.len() + 64);
    page.push_str(HEAD);
    push_text(&mut page, title.as_deref().unwrap_or(fallback));
    page.push_str(STYLE);
    page.push_str(html);
    page.push_str(END);
    page
}

/// The words of the first heading that has some.
fn first_heading(markdown: &str) -> Option<String> {
    let mut heading: Option<String> = None;
    for event in syntax::events(markdown, false) {
        match (event, &mut heading) {
            (Event::Start(Tag::Heading { .. }), _) => heading = Some(String::new()),
            (Event::End(TagEnd::Heading(_)), Some(words)) => {
                if !words.trim().is_empty() {
                    return Some(words.trim().to_owned());
                }
                heading = None;
            }
            (Event::Text(text) | Event::Code(text), Some(words)) => words.push_str(&text),
            (Event::SoftBreak | Event::HardBreak, Some(words)) => words.push(' '),
            _ => {}
        }
    }
    None
}
