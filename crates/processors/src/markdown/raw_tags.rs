//! Raw HTML of a document, cut into tags and text by the tokeniser of browsers (`html5ever`), without what is not allowed.
//!
//! A piece is read by itself: what it leaves unfinished (a quote, a comment, a script) ends with it and swallows nothing
//! of the document behind. Comments, instructions and the content of scripts and the like are dropped.

use super::allow::{Element, element_named};
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

pub enum RawToken {
    Text(String),
    Start(&'static Element, Vec<(String, String)>),
    End(&'static Element),
}

/// HTML is read in slices of so many bytes. The tokeniser compares each attribute of a tag with all before, so a tag that
/// fills a slice and has many of them ends its piece.
const SLICE_BYTES: usize = 8 * 1024;
const ATTRIBUTES_MAX: usize = 64;
const SLASHES_MAX: usize = 256;

pub fn raw_tokens(html: &str) -> Vec<RawToken> {
    let tokenizer = Tokenizer::new(Tokens::default(), TokenizerOpts { discard_bom: false, ..TokenizerOpts::default() });
    let input = BufferQueue::default();
    let html = without_comments(html);
    let mut rest = &*html;
    while !rest.is_empty() {
        let (slice, behind) = rest.split_at(rest.floor_char_boundary(SLICE_BYTES));
        tokenizer.sink.is_in_tag.set(true);
        input.push_back(StrTendril::from(slice));
        // a script is a pause, not an end
        while !input.is_empty() {
            let _script = tokenizer.feed(&input);
        }
        if tokenizer.sink.is_in_tag.get() && has_many_attributes(slice) {
            return tokenizer.sink.tokens.into_inner();
        }
        rest = behind;
    }
    tokenizer.end();
    tokenizer.sink.tokens.into_inner()
}

fn has_many_attributes(slice: &str) -> bool {
    let count = |is_counted: fn(&u8) -> bool| slice.as_bytes().iter().filter(|byte| is_counted(byte)).count();
    let apart = count(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\''));
    slice.len() > SLICE_BYTES / 2 && (apart > ATTRIBUTES_MAX || count(|byte| *byte == b'/') > SLASHES_MAX)
}

/// They would be dropped anyway; long ones would look like a tag that does not end.
fn without_comments(html: &str) -> Cow<'_, str> {
    let mut pieces = html.split("<!--");
    let first = pieces.next().unwrap_or("");
    if first.len() == html.len() {
        return Cow::Borrowed(html);
    }
    // the rest of a piece that ends no comment is one
    let behind_comments = pieces.map(|piece| piece.split_once("-->").map_or("", |(_, behind)| behind));
    Cow::Owned(std::iter::once(first).chain(behind_comments).collect())
}

#[derive(Default)]
struct Tokens {
    tokens: RefCell<Vec<RawToken>>,
    /// No token came since it was set.
    is_in_tag: Cell<bool>,
    /// Within a script or the like.
    is_dropping: Cell<bool>,
}

impl TokenSink for Tokens {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if !matches!(token, Token::ParseError(_)) {
            self.is_in_tag.set(false);
        }
        match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => return self.start(&tag),
            Token::TagToken(tag) => {
                let was_dropping = self.is_dropping.replace(false);
                if let Some(element) = element_named(&tag.name).filter(|_| !was_dropping) {
                    self.tokens.borrow_mut().push(RawToken::End(element));
                }
            }
            Token::CharacterTokens(text) if !self.is_dropping.get() => {
                self.tokens.borrow_mut().push(RawToken::Text(text.to_string()));
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Tokens {
    fn start(&self, tag: &Tag) -> TokenSinkResult<()> {
        if let Some(element) = element_named(&tag.name) {
            if let Some(attributes) = allowed_attributes(element, tag) {
                self.tokens.borrow_mut().push(RawToken::Start(element, attributes));
            }
            return TokenSinkResult::Continue;
        }
        let content = match &*tag.name {
            "script" => RawKind::ScriptData,
            "style" | "xmp" | "iframe" | "noembed" | "noframes" | "noscript" => RawKind::Rawtext,
            "textarea" | "title" => RawKind::Rcdata,
            "plaintext" => {
                self.is_dropping.set(true);
                return TokenSinkResult::Plaintext;
            }
            _ => return TokenSinkResult::Continue,
        };
        self.is_dropping.set(true);
        TokenSinkResult::RawData(content)
    }
}

/// `None` for an element that may not be with these: an input that is no checkbox.
fn allowed_attributes(element: &Element, tag: &Tag) -> Option<Vec<(String, String)>> {
    let given = tag.attrs.iter().map(|attribute| (&*attribute.name.local, &*attribute.value));
    let allowed =
        given.filter_map(|(name, value)| Some((name.to_owned(), element.attribute(name, value)?.into_owned())));
    let mut allowed: Vec<_> = allowed.collect();
    if element.name == "input" {
        let is_checkbox = allowed.iter().any(|(name, _)| name == "type");
        if !is_checkbox {
            return None;
        }
        allowed.retain(|(name, _)| name == "checked");
        allowed.insert(0, ("type".into(), "checkbox".into()));
        allowed.insert(0, ("disabled".into(), String::new()));
    }
    Some(allowed)
}
