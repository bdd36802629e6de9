//! The result as JSON, written as it comes: sentences first, the document's verdict last, nothing kept.
//!
//! `{"method", "language", "sentences": [{"text", "offset", "label", "scores", "compound"}], "label", "scores", "compound",
//! "sentence_count"}`; one sentence a line, so that the result can be looked at.

use super::provider::{Mean, Scores};
use filemill_core::limits::IO_BLOCK_BYTES;
use std::io::{self, Write};

pub struct VerdictWriter<'a> {
    output: &'a mut dyn Write,
    json: Vec<u8>,
    lists_sentences: bool,
    is_first: bool,
}

impl<'a> VerdictWriter<'a> {
    pub fn begin(output: &'a mut dyn Write, method: &str, lists_sentences: bool) -> Self {
        let mut json = Vec::with_capacity(64 * 1024);
        json.extend_from_slice(b"{\"method\":\"");
        json.extend_from_slice(method.as_bytes());
        json.extend_from_slice(b"\",\"language\":\"en\",");
        if lists_sentences {
            json.extend_from_slice(b"\"sentences\":[");
        }
        VerdictWriter { output, json, lists_sentences, is_first: true }
    }

    pub fn sentence(&mut self, text: &str, offset: u64, scores: &Scores) -> io::Result<()> {
        if !self.lists_sentences {
            return Ok(());
        }
        self.json.extend_from_slice(if self.is_first { b"\n{\"text\":" } else { b",\n{\"text\":" });
        self.is_first = false;
        serde_json::to_writer(&mut self.json, text)?;
        self.json.extend_from_slice(b",\"offset\":");
        put_number(&mut self.json, offset);
        self.json.push(b',');
        self.put_scores(scores);
        self.json.push(b'}');
        if self.json.len() > IO_BLOCK_BYTES - 16 * 1024 {
            self.flush()?;
        }
        Ok(())
    }

    pub fn end(mut self, mean: &Mean) -> io::Result<()> {
        if self.lists_sentences {
            self.json.extend_from_slice(b"\n],\n");
        }
        self.put_scores(&mean.scores());
        self.json.extend_from_slice(b",\"sentence_count\":");
        put_number(&mut self.json, mean.sentences);
        self.json.extend_from_slice(b"}\n");
        self.flush()
    }

    fn put_scores(&mut self, scores: &Scores) {
        self.json.extend_from_slice(b"\"label\":\"");
        self.json.extend_from_slice(scores.label().as_str().as_bytes());
        self.json.extend_from_slice(b"\",\"scores\":{\"positive\":");
        put_decimal(&mut self.json, scores.positive, 6);
        self.json.extend_from_slice(b",\"negative\":");
        put_decimal(&mut self.json, scores.negative, 6);
        self.json.extend_from_slice(b",\"neutral\":");
        put_decimal(&mut self.json, scores.neutral, 6);
        self.json.extend_from_slice(b",\"mixed\":");
        put_decimal(&mut self.json, scores.mixed, 6);
        self.json.extend_from_slice(b"},\"compound\":");
        put_decimal(&mut self.json, scores.compound, 4);
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.write_all(&self.json)?;
        self.json.clear();
        Ok(())
    }
}

/// A number from -1 to 1, with at most so many decimals and no zero at its end: `0.5`, `-0.0312`, `1`.
fn put_decimal(json: &mut Vec<u8>, value: f64, decimals: u32) {
    let one = 10_i64.pow(decimals);
    let scaled = (value * one as f64).round() as i64;
    if scaled < 0 {
        json.push(b'-');
    }
    let mut rest = scaled.unsigned_abs();
    let one = one.unsigned_abs();
    json.push(if rest >= one { b'1' } else { b'0' });
    rest %= one;
    let mut digit = one / 10;
    if rest > 0 {
        json.push(b'.');
    }
    while rest > 0 {
        json.push(b'0' + (rest / digit) as u8);
        rest %= digit;
        digit /= 10;
    }
}

fn put_number(json: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    json.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_short_as_they_are() {
        for (value, decimals, expected) in [
            (0.0, 6, "0"),
            (1.0, 6, "1"),
            (0.5, 6, "0.5"),
            (-0.0312, 4, "-0.0312"),
            (-1.0, 4, "-1"),
            (0.000001, 6, "0.000001"),
        ] {
            let mut json = Vec::new();
            put_decimal(&mut json, value, decimals);
            assert_eq!(String::from_utf8_lossy(&json), expected);
        }
        for number in [0, 7, 10, u64::MAX] {
            let mut json = Vec::new();
            put_number(&mut json, number);
            assert_eq!(String::from_utf8_lossy(&json), number.to_string());
        }
    }
}
