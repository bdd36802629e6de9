//! Manifests of archives, as they are read from an order and from a bucket: what is taken reads back as the same.

use crate::hearing::{Subject, hear};
use crate::spoiler::Spoiler;
use filemill_core::archive::ArchiveManifest;
use serde_json::json;

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "files", "source", "destination", "etag", "name", "metadata", "{\"source\":\"a\"}", ",", "[", "]", "{", "}",
    "\"", "\\ud800", "\\u0000", "1e999", "s3://", "../", "s3://b-1/", "\u{feff}", "C:\\", "/", "null", "-0",
    "123456789012345678901234567890",
];

#[test]
fn archive_manifests() {
    hear::<Manifests>("archive_manifests");
}

struct Manifests;

const GOOD: &[u8] = br#"{"files": [{"source": "a.txt"}], "metadata": {"m": {"n": [1, 2.5, null]}}}"#;

/// As REST would answer.
fn status_of(manifest: &[u8]) -> u16 {
    if ArchiveManifest::parse(manifest).is_ok() { 202 } else { 422 }
}

impl Subject for Manifests {
    type Request = Vec<u8>;

    async fn open() -> Self {
        Manifests
    }

    fn hostile(&mut self, spoiler: &mut Spoiler) -> Vec<u8> {
        let good = json!({
            "files": [{ "source": "a.txt" }, { "source": "s3://b-1/c/d.txt", "destination": "e/", "etag": "\"x\"" }],
            "name": "n", "metadata": { "m": { "n": [1, 2.5, null] }, "text": "t" },
        });
        spoiler.json(&good, WORDS, 2 << 20)
    }

    async fn send(&mut self, manifest: &Vec<u8>) -> Result<u16, String> {
        if let Ok(read) = ArchiveManifest::parse(manifest) {
            let written = serde_json::to_vec(&read).map_err(|e| e.to_string())?;
            let again = ArchiveManifest::parse(&written);
            if again.as_ref() != Ok(&read) {
                return Err(format!("it reads back as {again:?}"));
            }
        }
        Ok(status_of(manifest))
    }

    async fn good(&mut self) -> Result<(), String> {
        if status_of(GOOD) == 202 { Ok(()) } else { Err("the good manifest is refused".to_owned()) }
    }
}
