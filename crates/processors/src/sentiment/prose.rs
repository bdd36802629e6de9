//! The text of a Markdown document without its markup, block by block, each byte with its place in the document.
//!
//! A paragraph, heading, list item's own text or table cell is a block. Code blocks and HTML are no prose and are left
//! out; code within a sentence is a word of it, and an image is what its description says.

use crate::markdown::syntax;
use filemill_core::ports::ProcessError;
use pulldown_cmark::{Event, Parser, Tag, TagEnd};

#[derive(Default)]
pub struct Block<'a> {
    pub text: &'a str,
    /// Where pieces of the text begin, and where they stand in the document; rising.
    places: &'a [(usize, u64)],
}

impl Block<'_> {
    /// In the document, of the byte of the text. Exact, unless an entity or a line's indentation stands between the start
    /// of its piece and it.
    pub fn offset(&self, at: usize) -> u64 {
        let piece = self.places.partition_point(|(start, _)| *start <= at);
        let (start, offset) = piece.checked_sub(1).map_or((0, 0), |i| self.places[i]);
        offset + (at - start) as u64
    }
}

pub fn each_block(
    markdown: &str,
    mut take: impl FnMut(Block<'_>) -> Result<(), ProcessError>,
) -> Result<(), ProcessError> {
    let (mut text, mut places) = (String::new(), Vec::new());
    let mut is_code = false;
    for (event, range) in Parser::new_ext(markdown, syntax::options(true)).into_offset_iter() {
        let offset = range.start as u64;
        let is_border = match event {
            Event::Start(tag) if !is_inline(&tag.to_end()) => {
                is_code = matches!(tag, Tag::CodeBlock(_));
                true
            }
            Event::End(tag) if !is_inline(&tag) => {
                is_code = false;
                true
            }
            Event::Text(piece) if !is_code => push(&mut text, &mut places, &piece, offset),
            // behind its first backtick
            Event::Code(piece) => push(&mut text, &mut places, &piece, offset + 1),
            Event::SoftBreak | Event::HardBreak => push(&mut text, &mut places, " ", offset),
            _ => false,
        };
        if is_border {
            take(Block { text: &text, places: &places })?;
            text.clear();
            places.clear();
        }
    }
    Ok(())
}

fn is_inline(tag: &TagEnd) -> bool {
    use TagEnd::{Emphasis, Image, Link, Strikethrough, Strong};
    matches!(tag, Emphasis | Strong | Strikethrough | Link | Image)
}

/// It is no border of a block.
fn push(text: &mut String, places: &mut Vec<(usize, u64)>, piece: &str, offset: u64) -> bool {
    places.push((text.len(), offset));
    text.push_str(piece);
    false
}
