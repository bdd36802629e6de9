//! `markdown.to_html`: CommonMark and GFM to HTML, as a fragment or a page, sanitised unless that is turned off.
//!
//! The document is held in memory, up to a limit. Time grows with its length whatever is in it, and nothing here calls
//! itself, so no nesting can exhaust the stack. Sanitised HTML has nothing in it but what `allow` lists.

mod allow;
mod escape;
mod literal_links;
mod page;
mod raw_tags;
mod render;
pub(crate) mod syntax;

#[cfg(test)]
mod tests;

use crate::options;
use crate::text_input::{self, WholeText};
use filemill_core::chunks::Cut;
use filemill_core::limits::MARKDOWN_BYTES_MAX;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

pub struct MarkdownToHtml;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("markdown.to_html"),
    summary: Cow::Borrowed("Turns Markdown (CommonMark and GFM) into sanitised HTML."),
    options: &[
        OptionSpec {
            default: "false",
            ..OptionSpec::new(
                "page",
                "boolean",
                "Writes a whole page with title and stylesheet rather than a fragment.",
                "true",
            )
        },
        OptionSpec::new(
            "title",
            "string",
            "The page's title; the first heading if not given. Needs page.",
            "\"Minutes\"",
        ),
        OptionSpec {
            default: "true",
            ..OptionSpec::new(
                "extensions",
                "boolean",
                "Reads GFM's tables, strikethrough, task lists and literal links.",
                "false",
            )
        },
        OptionSpec {
            default: "false",
            ..OptionSpec::new(
                "raw",
                "boolean",
                "Leaves HTML in the document and all links as they are: scripts too.",
                "true",
            )
        },
    ],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    page: bool,
    title: Option<String>,
    extensions: bool,
    raw: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { page: false, title: None, extensions: true, raw: false }
    }
}

impl Processor for MarkdownToHtml {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let options: Options = options::read(options)?;
        if options.title.is_some() && !options.page {
            return Err("option \"title\" needs \"page\" = true: a fragment has no title".into());
        }
        Ok(Box::new(options))
    }
}

impl Transform for Options {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let WholeText { text: mut markdown, offset } =
            text_input::read_whole(work.input, chunk.input, MARKDOWN_BYTES_MAX)?;
        syntax::check(&markdown, offset)?;
        if markdown.contains('\0') {
            // CommonMark 2.3; the parser leaves it to others
            markdown = markdown.replace('\0', "\u{fffd}");
        }
        let mut html = self.html(&markdown);
        if self.page {
            let file = chunk.input.key.rsplit('/').next().unwrap_or(chunk.input.key);
            html = page::page(self.title.as_deref(), &markdown, file, &html);
        }
        work.output.write_all(html.as_bytes())?;
        let mut report = ChunkReport::default();
        if self.raw {
            report.summary.insert("warning".into(), "raw HTML was not sanitised".into());
        }
        Ok(report)
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("text/html; charset=utf-8".into())
    }
}

impl Options {
    fn html(&self, markdown: &str) -> String {
        let events = syntax::events(markdown, self.extensions);
        if !self.raw {
            return render::sanitised_html(events, markdown.len());
        }
        let mut html = String::with_capacity(markdown.len() + markdown.len() / 4);
        pulldown_cmark::html::push_html(&mut html, events);
        html
    }
}
