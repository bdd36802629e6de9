//! Sanitised HTML from a document's events: nothing gets into it but what [`super::allow`] lists.
//!
//! What Markdown itself makes is written as `ammonia` would write it and needs no second look. Raw HTML is brought into
//! order here, tag by tag: no tag closes or leaves what it did not open, nothing nests without end. Only a document that
//! has some goes through `ammonia` afterwards, which has the last word.

use super::allow::{self, Kind, LINK_REL};
use super::escape::{push_href, push_text, push_value};
use super::raw_tags::{RawToken, raw_tokens};
use pulldown_cmark::{Alignment, CodeBlockKind, CowStr, Event, LinkType, Tag, TagEnd};

/// Elements deeper than this leave their content in the one around. Browsers stop at 512, and HTML's parser looks through
/// all open elements at every block.
const NESTING_MAX: usize = 100;
/// Raw formatting elements that are open at a time: HTML's parser may write all of them anew for each block.
const RAW_FORMATTING_MAX: usize = 8;

pub fn sanitised_html<'a>(events: impl Iterator<Item = Event<'a>>, markdown_bytes: usize) -> String {
    let mut renderer = Renderer::with_capacity(markdown_bytes + markdown_bytes / 4);
    for event in events {
        renderer.take(event);
    }
    renderer.close_raw();
    match renderer.has_raw_html {
        true => allow::sanitise(&renderer.html),
        false => renderer.html,
    }
}

#[derive(Default)]
struct Renderer<'a> {
    html: String,
    open: Vec<Open>,
    nesting: usize,
    raw_formatting: usize,
    alignments: Vec<Alignment>,
    column: usize,
    is_table_head: bool,
    is_in_link: bool,
    image: Option<Image<'a>>,
    /// An HTML block, while it is read.
    block: Option<String>,
    has_raw_html: bool,
}

/// An element that waits for its end.
struct Open {
    /// How it ends; nothing if it was left out.
    end: &'static str,
    /// Its name, where it stands in the document as a tag.
    raw: Option<&'static allow::Element>,
}

/// An image, whose description is everything up to its end.
struct Image<'a> {
    url: CowStr<'a>,
    title: CowStr<'a>,
    description: String,
    nesting: usize,
}

impl<'a> Renderer<'a> {
    fn with_capacity(bytes: usize) -> Self {
        Renderer { html: String::with_capacity(bytes), ..Renderer::default() }
    }

    fn take(&mut self, event: Event<'a>) {
        if self.image.is_some() {
            return self.describe(event);
        }
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) => push_text(&mut self.html, &text),
            Event::Code(text) => {
                self.html.push_str("<code>");
                push_text(&mut self.html, &text);
                self.html.push_str("</code>");
            }
            Event::Html(html) => match &mut self.block {
                Some(block) => block.push_str(&html),
                None => self.raw(&html, false),
            },
            Event::InlineHtml(html) => self.raw(&html, true),
            Event::SoftBreak => self.html.push('\n'),
            Event::HardBreak => self.html.push_str("<br>\n"),
            Event::Rule => {
                self.new_block();
                self.html.push_str("<hr>\n");
            }
            Event::TaskListMarker(true) => self.html.push_str("<input disabled=\"\" type=\"checkbox\" checked=\"\">\n"),
            Event::TaskListMarker(false) => self.html.push_str("<input disabled=\"\" type=\"checkbox\">\n"),
            // extensions that are not read
            Event::InlineMath(text) | Event::DisplayMath(text) | Event::FootnoteReference(text) => {
                push_text(&mut self.html, &text);
            }
        }
    }

    fn start(&mut self, tag: Tag<'a>) {
        match tag {
            Tag::Paragraph => self.open_block("<p>", "</p>\n"),
            Tag::Heading { level, .. } => {
                let (start, end) = HEADINGS[level as usize - 1];
                self.open_block(start, end);
            }
            Tag::BlockQuote(_) => self.open_nesting_block("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(kind) => self.open_code_block(kind),
            Tag::List(None) => self.open_nesting_block("<ul>\n", "</ul>\n"),
            Tag::List(Some(1)) => self.open_nesting_block("<ol>\n", "</ol>\n"),
            Tag::List(Some(start)) => self.open_nesting_block(&format!("<ol start=\"{start}\">\n"), "</ol>\n"),
            Tag::Item => self.open_part("\n<li>", "</li>\n"),
            Tag::Table(alignments) => {
                self.alignments = alignments;
                self.close_raw_paragraph();
                self.open_nesting("<table>", "</tbody></table>\n");
            }
            Tag::TableHead => {
                (self.is_table_head, self.column) = (true, 0);
                self.open_part("<thead><tr>", "</tr></thead><tbody>\n");
            }
            Tag::TableRow => {
                (self.is_table_head, self.column) = (false, 0);
                self.open_part("<tr>", "</tr>\n");
            }
            Tag::TableCell => self.open_cell(),
            Tag::Emphasis => self.open_nesting("<em>", "</em>"),
            Tag::Strong => self.open_nesting("<strong>", "</strong>"),
            Tag::Strikethrough => self.open_nesting("<del>", "</del>"),
            Tag::Link { link_type, dest_url, title, .. } => self.open_link(link_type, &dest_url, &title),
            Tag::Image { dest_url, title, .. } => {
                self.image = Some(Image { url: dest_url, title, description: String::new(), nesting: 0 });
            }
            Tag::HtmlBlock => {
                self.open.push(Open { end: "", raw: None });
                self.block = Some(String::new());
            }
            // extensions that are not read
            _ => self.open.push(Open { end: "", raw: None }),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        if tag == TagEnd::HtmlBlock {
            // what the block opens stays open behind it
            self.open.pop();
            let block = self.block.take().unwrap_or_default();
            return self.raw(&block, false);
        }
        self.close_raw();
        let Some(open) = self.open.pop() else { return };
        self.html.push_str(open.end);
        if is_nesting(tag) && !open.end.is_empty() {
            self.nesting -= 1;
            self.is_in_link &= tag != TagEnd::Link;
        }
        if tag == TagEnd::TableCell {
            self.column += 1;
        }
    }

    /// A block starts a line, and ends a raw paragraph as it does in HTML.
    fn new_block(&mut self) {
        self.close_raw_paragraph();
        if !self.html.is_empty() && !self.html.ends_with('\n') {
            self.html.push('\n');
        }
    }

    fn open_block(&mut self, start: &str, end: &'static str) {
        self.new_block();
        self.html.push_str(start);
        self.open.push(Open { end, raw: None });
    }

    fn open_nesting_block(&mut self, start: &str, end: &'static str) {
        self.new_block();
        self.open_nesting(start, end);
    }

    fn open_nesting(&mut self, start: &str, end: &'static str) {
        if self.nesting >= NESTING_MAX {
            return self.open.push(Open { end: "", raw: None });
        }
        self.nesting += 1;
        self.html.push_str(start);
        self.open.push(Open { end, raw: None });
    }

    /// Of a list or a table: it is there if that is.
    fn open_part(&mut self, start: &str, end: &'static str) {
        // nothing raw can stand between a part and its whole
        let is_left_out = self.open.last().is_none_or(|whole| whole.end.is_empty());
        if is_left_out {
            return self.open.push(Open { end: "", raw: None });
        }
        let start = if self.html.ends_with('\n') { start.trim_start() } else { start };
        self.html.push_str(start);
        self.open.push(Open { end, raw: None });
    }

    fn open_cell(&mut self) {
        let (head, end) = if self.is_table_head { ("<th", "</th>") } else { ("<td", "</td>") };
        let align = match self.alignments.get(self.column) {
            Some(Alignment::Left) => " align=\"left\">",
            Some(Alignment::Center) => " align=\"center\">",
            Some(Alignment::Right) => " align=\"right\">",
            _ => ">",
        };
        self.open_part(head, end);
        if self.open.last().is_some_and(|cell| !cell.end.is_empty()) {
            self.html.push_str(align);
        }
    }

    fn open_code_block(&mut self, kind: CodeBlockKind<'_>) {
        let language = match &kind {
            CodeBlockKind::Fenced(info) => info.split_whitespace().next().unwrap_or(""),
            CodeBlockKind::Indented => "",
        };
        if language.is_empty() {
            return self.open_block("<pre><code>", "</code></pre>\n");
        }
        self.open_block("<pre><code class=\"language-", "</code></pre>\n");
        push_value(&mut self.html, language);
        self.html.push_str("\">");
    }

    /// A link that may not be is its text, and so is one within a link, which the parser lets through as `<URL>`.
    fn open_link(&mut self, link_type: LinkType, url: &str, title: &str) {
        let start = self.html.len();
        self.html.push_str("<a href=\"");
        let url_start = self.html.len();
        if link_type == LinkType::Email {
            self.html.push_str("mailto:");
        }
        push_href(&mut self.html, url);
        let is_allowed = allow::is_allowed_url(&self.html[url_start..]);
        if !is_allowed || self.is_in_link || self.nesting >= NESTING_MAX {
            self.html.truncate(start);
            return self.open.push(Open { end: "", raw: None });
        }
        self.push_title(title);
        self.html.push_str("\" rel=\"");
        self.html.push_str(LINK_REL);
        self.html.push_str("\">");
        self.nesting += 1;
        self.is_in_link = true;
        self.open.push(Open { end: "</a>", raw: None });
    }

    /// In an attribute that is open, which it ends to begin its own.
    fn push_title(&mut self, title: &str) {
        if !title.is_empty() {
            self.html.push_str("\" title=\"");
            push_value(&mut self.html, title);
        }
    }

    fn describe(&mut self, event: Event<'a>) {
        let Some(image) = &mut self.image else { return };
        match event {
            Event::Start(_) => image.nesting += 1,
            Event::End(_) if image.nesting > 0 => image.nesting -= 1,
            Event::End(_) => self.end_image(),
            Event::Text(text) | Event::Code(text) | Event::InlineHtml(text) => image.description.push_str(&text),
            Event::SoftBreak | Event::HardBreak => image.description.push(' '),
            _ => {}
        }
    }

    /// An image that may not be is its description.
    fn end_image(&mut self) {
        let Some(image) = self.image.take() else { return };
        let start = self.html.len();
        self.html.push_str("<img src=\"");
        let url_start = self.html.len();
        push_href(&mut self.html, &image.url);
        if !allow::is_allowed_url(&self.html[url_start..]) {
            self.html.truncate(start);
            return push_text(&mut self.html, &image.description);
        }
        self.html.push_str("\" alt=\"");
        push_value(&mut self.html, &image.description);
        self.push_title(&image.title);
        self.html.push_str("\">");
    }

    fn raw(&mut self, html: &str, is_inline: bool) {
        self.has_raw_html = true;
        for token in raw_tokens(html) {
            match token {
                RawToken::Text(text) => push_text(&mut self.html, &text),
                RawToken::Start(element, attributes) => self.raw_start(element, &attributes, is_inline),
                RawToken::End(element) => self.raw_end(element),
            }
        }
    }

    fn raw_start(&mut self, element: &'static allow::Element, attributes: &[(String, String)], is_inline: bool) {
        let is_block = element.kind == Kind::Block || matches!(element.name, "hr" | "col");
        if is_block && is_inline {
            return;
        }
        if is_block {
            self.close_raw_paragraph();
        }
        let is_void = element.kind == Kind::Void;
        let is_formatting = element.kind == Kind::Formatting;
        if !is_void && (self.nesting >= NESTING_MAX || is_formatting && self.raw_formatting >= RAW_FORMATTING_MAX) {
            return;
        }
        self.html.push('<');
        self.html.push_str(element.name);
        for (name, value) in attributes {
            self.html.push(' ');
            self.html.push_str(name);
            self.html.push_str("=\"");
            push_value(&mut self.html, value);
            self.html.push('"');
        }
        self.html.push('>');
        if !is_void {
            self.nesting += 1;
            self.raw_formatting += usize::from(is_formatting);
            self.open.push(Open { end: "", raw: Some(element) });
        }
    }

    /// Closes the nearest of its name, unless something that is not raw lies between.
    fn raw_end(&mut self, element: &'static allow::Element) {
        let raw = self.open.iter().rev().map_while(|open| open.raw);
        let Some(behind) = raw.into_iter().position(|open| open.name == element.name) else { return };
        (0..=behind).for_each(|_| self.close_one_raw());
    }

    fn close_raw(&mut self) {
        while self.open.last().is_some_and(|open| open.raw.is_some()) {
            self.close_one_raw();
        }
    }

    fn close_raw_paragraph(&mut self) {
        let is_raw = self.open.last().is_some_and(|open| open.raw.is_some());
        if let Some(paragraph) = allow::element_named("p").filter(|_| is_raw) {
            self.raw_end(paragraph);
        }
    }

    fn close_one_raw(&mut self) {
        let Some(element) = self.open.pop().and_then(|open| open.raw) else { return };
        self.html.push_str("</");
        self.html.push_str(element.name);
        self.html.push('>');
        self.nesting -= 1;
        self.raw_formatting -= usize::from(element.kind == Kind::Formatting);
    }
}

/// Those that were opened with `open_nesting`, or as a link.
fn is_nesting(tag: TagEnd) -> bool {
    use TagEnd::{BlockQuote, Emphasis, Link, List, Strikethrough, Strong, Table};
    matches!(tag, BlockQuote(_) | List(_) | Table | Emphasis | Strong | Strikethrough | Link)
}

const HEADINGS: [(&str, &str); 6] = [
    ("<h1>", "</h1>\n"),
    ("<h2>", "</h2>\n"),
    ("<h3>", "</h3>\n"),
    ("<h4>", "</h4>\n"),
    ("<h5>", "</h5>\n"),
    ("<h6>", "</h6>\n"),
];
