//! `text.sentiment`: how a text sounds, as a whole and sentence by sentence, as a JSON object and as a finding.
//!
//! Plain text of any size passes in constant memory; Markdown is held, up to a limit. English only. What a sentence is,
//! how it is scored and how sentences make a document each have a file: `sentences`, `provider`, `vader`.

mod prose;
mod provider;
mod sentences;
mod vader;
mod verdict;
mod words;

#[cfg(test)]
mod tests;

use crate::markdown::syntax;
use crate::options;
use crate::text_input::{self, TextWindow};
use filemill_core::chunks::Cut;
use filemill_core::finding::Finding;
use filemill_core::limits::MARKDOWN_BYTES_MAX;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use provider::{Mean, SentimentProvider};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::io::Read;
use verdict::VerdictWriter;

pub struct TextSentiment;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("text.sentiment"),
    summary: Cow::Borrowed(
        "Says whether an English text is positive, negative, neutral or mixed, by sentence and as a whole.",
    ),
    options: &[
        OptionSpec {
            default: "\"text\"",
            choices: &["\"text\"", "\"markdown\""],
            ..OptionSpec::new(
                "format",
                "string",
                "What the file is; of Markdown the text without markup and code counts.",
                "\"markdown\"",
            )
        },
        OptionSpec {
            default: "true",
            ..OptionSpec::new("sentences", "boolean", "Lists every sentence with its scores in the result.", "false")
        },
        OptionSpec {
            default: "\"en\"",
            choices: &["\"en\""],
            ..OptionSpec::new(
                "language",
                "string",
                "The language of the text; there is a lexicon for English only.",
                "\"en\"",
            )
        },
    ],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    format: Format,
    sentences: bool,
    language: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { format: Format::Text, sentences: true, language: "en".into() }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    Text,
    Markdown,
}

struct Sentiment {
    format: Format,
    lists_sentences: bool,
    provider: fn() -> Box<dyn SentimentProvider>,
}

impl Processor for TextSentiment {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        let Options { format, sentences, language } = options::read(options)?;
        if language != "en" {
            return Err(format!("option \"language\" is {language:?}; there is a lexicon for \"en\" (English) only"));
        }
        Ok(Box::new(Sentiment { format, lists_sentences: sentences, provider: || Box::new(vader::Vader::new()) }))
    }
}

impl Transform for Sentiment {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let provider = (self.provider)();
        let writer = VerdictWriter::begin(work.output, provider.method(), self.lists_sentences);
        let mut judge = Judge { provider, writer, mean: Mean::default() };
        match self.format {
            Format::Text => judge.plain_text(work.input)?,
            Format::Markdown => judge.markdown(work.input, chunk.input)?,
        }
        judge.writer.end(&judge.mean)?;
        Ok(report(&judge.mean))
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some("application/json".into())
    }
}

fn report(mean: &Mean) -> ChunkReport {
    let scores = mean.scores();
    let label = scores.label().as_str();
    let mut values = scores.values();
    values.insert("sentences".into(), mean.sentences as f64);
    ChunkReport {
        summary: Map::from_iter([("label".to_owned(), label.into())]),
        finding: Some(Finding { label: label.into(), values }),
        ..ChunkReport::default()
    }
}

/// Gives each sentence to the provider, and what it says to the result.
struct Judge<'a> {
    provider: Box<dyn SentimentProvider>,
    writer: VerdictWriter<'a>,
    mean: Mean,
}

impl Judge<'_> {
    fn plain_text(&mut self, input: &mut dyn Read) -> Result<(), ProcessError> {
        let mut window = TextWindow::new(input);
        let mut used = 0;
        loop {
            let view = window.advance(used)?;
            used = self.sentences(view.text, view.is_last, |at| view.offset + at as u64)?;
            if view.is_last {
                return Ok(());
            }
        }
    }

    fn markdown(&mut self, input: &mut dyn Read, facts: InputFacts<'_>) -> Result<(), ProcessError> {
        let whole = text_input::read_whole(input, facts, MARKDOWN_BYTES_MAX)?;
        syntax::check(&whole.text, whole.offset)?;
        prose::each_block(&whole.text, |block| {
            self.sentences(block.text, true, |at| whole.offset + block.offset(at)).map(drop)
        })
    }

    /// Returns how many bytes were used: unless the text is the last, what is left may be only a part of a sentence.
    fn sentences(&mut self, text: &str, is_last: bool, offset: impl Fn(usize) -> u64) -> Result<usize, ProcessError> {
        let mut rest = text.trim_start();
        while !rest.is_empty() && (is_last || rest.len() >= sentences::WINDOW) {
            let (sentence, behind) = rest.split_at(sentences::sentence_bytes(rest));
            let at = text.len() - rest.len();
            let sentence = sentence.trim_end();
            let scores = self.provider.score(sentence)?;
            self.mean.add(&scores, sentence.len());
            self.writer.sentence(sentence, offset(at), &scores)?;
            rest = behind.trim_start();
        }
        Ok(text.len() - rest.len())
    }
}
