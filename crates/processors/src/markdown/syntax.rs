//! Which Markdown is read: CommonMark, and with extensions GFM's tables, strikethrough, task lists and literal links.

use super::literal_links::{self, LiteralLinks};
use filemill_core::ports::ProcessError;
use pulldown_cmark::{Event, Options, Parser};

pub fn options(extensions: bool) -> Options {
    match extensions {
        true => Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS,
        false => Options::empty(),
    }
}

/// Quotes and lists that one line may open inside one another. The parser looks through all that are open at each line.
const CONTAINERS_MAX: usize = 256;

/// Refuses what is nested without reason. `offset` is that of the document in its file.
pub fn check(markdown: &str, offset: u64) -> Result<(), ProcessError> {
    let bytes = markdown.as_bytes();
    let line_ends = memchr::memchr2_iter(b'\n', b'\r', bytes).map(|end| end + 1);
    for start in std::iter::once(0).chain(line_ends) {
        let containers = containers(&bytes[start..]);
        if containers > CONTAINERS_MAX {
            let at = offset + start as u64;
            let message = format!(
                "the line at byte {at} opens more than {CONTAINERS_MAX} quotes or lists inside one another, which is the \
                 most that can be worked on"
            );
            return Err(ProcessError::input("input_invalid", message));
        }
    }
    Ok(())
}

/// Marks of quotes and lists at the start of a line; no more are counted than matter.
fn containers(line: &[u8]) -> usize {
    let (mut at, mut count) = (0, 0);
    while count <= CONTAINERS_MAX {
        match line.get(at) {
            Some(b' ' | b'\t') => {}
            Some(b'>') => count += 1,
            Some(b'-' | b'+' | b'*') if matches!(line.get(at + 1), Some(b' ' | b'\t')) => count += 1,
            Some(b'0'..=b'9') => {
                let digits = line[at..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count();
                let is_mark = matches!(line.get(at + digits..), Some([b'.' | b')', b' ' | b'\t', ..]));
                if !is_mark {
                    break;
                }
                count += 1;
                at += digits;
            }
            _ => break,
        }
        at += 1;
    }
    count
}

/// What a document is made of, with text in whole pieces where links may hide in it.
pub enum Events<'a> {
    Plain(Parser<'a>),
    Linked(LiteralLinks<'a, Parser<'a>>),
}

pub fn events(markdown: &str, extensions: bool) -> Events<'_> {
    let parser = Parser::new_ext(markdown, options(extensions));
    match extensions && literal_links::may_be_in(markdown) {
        true => Events::Linked(LiteralLinks::new(parser)),
        false => Events::Plain(parser),
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Event<'a>;

    fn next(&mut self) -> Option<Event<'a>> {
        match self {
            Events::Plain(events) => events.next(),
            Events::Linked(events) => events.next(),
        }
    }
}
