//! The `aws-chunked` framing, taken apart without looking at the content: `size;chunk-signature=...`, data, trailers.
//!
//! Works piece by piece in constant memory whatever size a client gives its chunks. The signatures of chunks are
//! handed on with the data, to be verified where the data is hashed; the trailers' signature is verified by the caller.

use bytes::{Buf, Bytes};
use s3s::{S3Error, S3Result, s3_error};
use std::collections::VecDeque;

const CHUNK_HEAD_BYTES_MAX: usize = 1024;
const TRAILERS_BYTES_MAX: usize = 16 * 1024;

/// What a body is made of once its framing is gone.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    Data(Bytes),
    /// The data since the last one is a chunk with this signature (hex).
    ChunkEnd(String),
}

#[derive(Debug)]
enum State {
    Head(Vec<u8>),
    Data {
        left: u64,
        signature: Option<String>,
    },
    /// The CRLF behind a chunk's data.
    Gap {
        seen: usize,
    },
    Trailers(Vec<u8>),
}

/// Takes bytes, gives pieces.
pub struct Unchunker {
    state: State,
    signed: bool,
    ready: VecDeque<Piece>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Trailers {
    /// Lower-case names, sorted.
    pub fields: Vec<(String, String)>,
    pub signature: Option<String>,
}

impl Trailers {
    /// The text that the trailers' signature covers.
    pub fn canonical(&self) -> String {
        self.fields.iter().map(|(name, value)| format!("{name}:{value}\n")).collect()
    }
}

impl Unchunker {
    pub fn new(signed: bool) -> Self {
        Unchunker { state: State::Head(Vec::new()), signed, ready: VecDeque::new() }
    }

    pub fn next(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    pub fn feed(&mut self, mut input: Bytes) -> S3Result<()> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head(head) => {
                    let byte = input.get_u8();
                    head.push(byte);
                    if head.len() > CHUNK_HEAD_BYTES_MAX {
                        return Err(malformed());
                    }
                    if byte == b'\n' {
                        let (size, signature) = parse_head(head, self.signed)?;
                        self.begin_chunk(size, signature);
                    }
                }
                State::Data { left, signature } => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let data = input.split_to(take);
                    *left -= take as u64;
                    self.ready.push_back(Piece::Data(data));
                    if *left == 0 {
                        self.ready.extend(signature.take().map(Piece::ChunkEnd));
                        self.state = State::Gap { seen: 0 };
                    }
                }
                State::Gap { seen } => {
                    if input.get_u8() != b"\r\n"[*seen] {
                        return Err(malformed());
                    }
                    *seen += 1;
                    if *seen == 2 {
                        self.state = State::Head(Vec::new());
                    }
                }
                State::Trailers(text) => {
                    if text.len() + input.len() > TRAILERS_BYTES_MAX {
                        return Err(malformed());
                    }
                    text.extend_from_slice(&input);
                    input.clear();
                }
            }
        }
        Ok(())
    }

    fn begin_chunk(&mut self, size: u64, signature: Option<String>) {
        if size > 0 {
            self.state = State::Data { left: size, signature };
            return;
        }
        self.ready.extend(signature.map(Piece::ChunkEnd));
        self.state = State::Trailers(Vec::new());
    }

    /// The body has ended.
    pub fn finish(self) -> S3Result<Trailers> {
        let State::Trailers(text) = self.state else { return Err(super::errors::incomplete_body()) };
        parse_trailers(&text)
    }
}

fn parse_head(head: &[u8], signed: bool) -> S3Result<(u64, Option<String>)> {
    let line = head.strip_suffix(b"\r\n").ok_or_else(malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| malformed())?;
    let (size, extension) = match line.split_once(';') {
        Some((size, extension)) => (size, Some(extension)),
        None => (line, None),
    };
    let is_hex = !size.is_empty() && size.len() <= 16 && size.bytes().all(|b| b.is_ascii_hexdigit());
    let size = is_hex.then(|| u64::from_str_radix(size, 16).ok()).flatten().ok_or_else(malformed)?;
    let signature = extension.and_then(|text| text.strip_prefix("chunk-signature="));
    match (signed, signature) {
        (true, Some(signature)) => Ok((size, Some(signature.to_owned()))),
        (true, None) => Err(malformed()),
        (false, _) => Ok((size, None)),
    }
}

fn parse_trailers(text: &[u8]) -> S3Result<Trailers> {
    let text = std::str::from_utf8(text).map_err(|_| malformed())?;
    let mut trailers = Trailers::default();
    for line in text.split('\n').map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(malformed)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "x-amz-trailer-signature" {
            trailers.signature = Some(value);
        } else {
            trailers.fields.push((name, value));
        }
    }
    trailers.fields.sort();
    Ok(trailers)
}

fn malformed() -> S3Error {
    s3_error!(InvalidRequest, "The aws-chunked framing of the body is malformed.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &[u8], signed: bool, step: usize) -> S3Result<(Vec<u8>, Vec<String>, Trailers)> {
        let mut unchunker = Unchunker::new(signed);
        let (mut data, mut signatures) = (Vec::new(), Vec::new());
        for piece in body.chunks(step) {
            unchunker.feed(Bytes::copy_from_slice(piece))?;
            while let Some(piece) = unchunker.next() {
                match piece {
                    Piece::Data(bytes) => data.extend_from_slice(&bytes),
                    Piece::ChunkEnd(signature) => signatures.push(signature),
                }
            }
        }
        Ok((data, signatures, unchunker.finish()?))
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_content() {
        let body = b"5\r\nhello\r\nA\r\n, world!\r\n\r\n0\r\nX-Amz-Checksum-CRC32: AAAAAA==\r\n\r\n";
        for step in 1..=body.len() {
            let (data, signatures, trailers) = decode(body, false, step).expect("well-formed");
            assert_eq!(data, b"hello, world!\r\n", "step {step}");
            assert!(signatures.is_empty());
            assert_eq!(trailers.fields, [("x-amz-checksum-crc32".to_owned(), "AAAAAA==".to_owned())]);
        }
    }

    #[test]
    fn signatures_follow_their_chunk() {
        let body =
            b"1;chunk-signature=aa\r\nx\r\n0;chunk-signature=bb\r\nb:1\r\na:2\n\r\nx-amz-trailer-signature:cc\r\n\r\n";
        for step in 1..=body.len() {
            let (data, signatures, trailers) = decode(body, true, step).expect("well-formed");
            assert_eq!((data.as_slice(), signatures.join(",").as_str()), (&b"x"[..], "aa,bb"));
            assert_eq!((trailers.canonical().as_str(), trailers.signature.as_deref()), ("a:2\nb:1\n", Some("cc")));
        }
    }

    #[test]
    fn a_body_without_its_last_chunk_is_incomplete() {
        assert!(decode(b"5\r\nhello\r\n", false, 3).is_err());
        assert!(decode(b"", false, 1).is_err());
    }

    #[test]
    fn bad_framing_is_refused() {
        let cases: [&[u8]; 6] =
            [b"zz\r\n", b"5\nhello", b"1\r\nxy\r\n", b"-1\r\n", b"11111111111111111\r\n", &[b'1'; 2000]];
        for body in cases {
            assert!(decode(body, false, 7).is_err(), "{:?}", String::from_utf8_lossy(body));
        }
        assert!(decode(b"1\r\nx\r\n0\r\n\r\n", true, 7).is_err(), "a signed body needs signatures");
    }
}
