//! `checksum`: a manifest of a file: its length, SHA-256 and CRC-64/NVME, as JSON or as `sha256sum` writes it.
//!
//! The file is read once and held nowhere. The checksums are of the bytes as they are.

use crate::compress::go_on;
use crate::options;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use crc_fast::{CrcAlgorithm, Digest as Crc};
use filemill_core::chunks::Cut;
use filemill_core::limits::IO_BLOCK_BYTES;
use filemill_core::ports::{
    Chunk, ChunkReport, InputFacts, OptionSpec, ProcessError, Processor, ProcessorSpec, Transform, Work,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::io::ErrorKind;

pub struct Checksum;

static SPEC: ProcessorSpec = ProcessorSpec {
    kind: Cow::Borrowed("checksum"),
    summary: Cow::Borrowed("Writes a file's length, SHA-256 and CRC-64/NVME."),
    options: &[OptionSpec {
        default: "\"json\"",
        choices: &["\"json\"", "\"sha256sum\""],
        ..OptionSpec::new(
            "format",
            "string",
            "One line of JSON, or the line that `sha256sum --check` reads.",
            "\"sha256sum\"",
        )
    }],
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Sha256sum,
}

struct Summing {
    format: Format,
}

impl Processor for Checksum {
    fn spec(&self) -> &ProcessorSpec {
        &SPEC
    }

    fn prepare(&self, options: &Map<String, Value>) -> Result<Box<dyn Transform>, String> {
        Ok(Box::new(Summing { format: options::read::<Options>(options)?.format }))
    }
}

impl Transform for Summing {
    fn cut(&self, _input: InputFacts<'_>) -> Cut {
        Cut::Whole
    }

    fn process(&self, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
        let (mut sha, mut crc) = (Sha256::new(), Crc::new(CrcAlgorithm::Crc64Nvme));
        let bytes = usize::try_from(chunk.input.size).unwrap_or(usize::MAX).clamp(1, IO_BLOCK_BYTES);
        let mut block = vec![0; bytes];
        loop {
            go_on(work.pulse)?;
            match work.input.read(&mut block) {
                Ok(0) => break,
                Ok(read) => {
                    sha.update(&block[..read]);
                    crc.update(&block[..read]);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        let sha = hex::encode(sha.finalize());
        let line = match self.format {
            Format::Json => json_line(chunk.input.key, &sha, &crc),
            Format::Sha256sum => sha256sum_line(chunk.input.key, &sha),
        };
        work.output.write_all(line.as_bytes())?;
        Ok(ChunkReport::default())
    }

    fn content_type(&self, _input: InputFacts<'_>) -> Option<String> {
        Some(match self.format {
            Format::Json => "application/json".into(),
            Format::Sha256sum => "text/plain; charset=utf-8".into(),
        })
    }
}

fn json_line(key: &str, sha: &str, crc: &Crc) -> String {
    let crc64nvme = BASE64_STANDARD.encode(crc.finalize().to_be_bytes());
    format!("{}\n", json!({ "key": key, "size": crc.get_amount(), "sha256": sha, "crc64nvme": crc64nvme }))
}

/// A name with a line end or a backslash is escaped, and a backslash in front of the line says so (coreutils).
fn sha256sum_line(key: &str, sha: &str) -> String {
    let escaped = key.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    let mark = if escaped == key { "" } else { "\\" };
    format!("{mark}{sha}  {escaped}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite;

    #[test]
    fn known_content_has_its_known_checksums() {
        for (input, sha, crc) in [
            (&b""[..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "AAAAAAAAAAA="),
            (b"123456789", "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", "rosUhgp5mIg="),
        ] {
            let ran = suite::whole(&Summing { format: Format::Json }, input).expect("a manifest");
            let expected = json!({ "key": "input", "size": input.len(), "sha256": sha, "crc64nvme": crc });
            assert_eq!(ran.text(), format!("{expected}\n"));
            let ran = suite::whole(&Summing { format: Format::Sha256sum }, input).expect("a manifest");
            assert_eq!(ran.text(), format!("{sha}  input\n"));
        }
    }

    #[test]
    fn a_name_never_breaks_a_line() {
        for (key, line) in [("a b", "0  a b\n"), ("a\nb\\c", "\\0  a\\nb\\\\c\n"), ("a\rb", "\\0  a\\rb\n")] {
            assert_eq!(sha256sum_line(key, "0"), line);
        }
    }

    suite::processor_suite! {
        processor: Checksum,
        options: [json!({}), json!({ "format": "sha256sum" })],
        pieces: ["abc", "\n", "\0", "é"],
    }
}
