//! The manifest of an archive: which objects, under which names. The same JSON by REST and as an object in a bucket.

use crate::limits;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The processor that makes archives.
pub const ARCHIVE_KIND: &str = "archive.zip";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveManifest {
    pub files: Vec<ArchiveFile>,
    /// What a browser should call the archive; `.zip` is added if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Given back with the job and its events.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveFile {
    /// A key of the default bucket, or `s3://bucket/key`.
    pub source: String,
    /// The path in the archive; with a slash at its end a folder, which the file goes into under its own name. The last
    /// segment of the key if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// The version that is meant; the one that is there if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

impl ArchiveManifest {
    /// The error is for the person who wrote it, with line and column where JSON is at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > limits::ARCHIVE_MANIFEST_BYTES_MAX {
            return Err(format!("a manifest has at most {} bytes", limits::ARCHIVE_MANIFEST_BYTES_MAX));
        }
        let manifest: ArchiveManifest = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    pub fn check(&self) -> Result<(), String> {
        match self.files.len() {
            0 => Err("files is empty: an archive needs at least one".into()),
            n if n > limits::ARCHIVE_ENTRIES_MAX => {
                Err(format!("{n} files are too many; at most {} fit into one archive", limits::ARCHIVE_ENTRIES_MAX))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_strictly() {
        let read =
            ArchiveManifest::parse(br#"{"files": [{"source": "a"}], "metadata": {"n": 1}}"#).expect("well formed");
        assert_eq!((read.files[0].source.as_str(), read.files[0].destination.as_deref()), ("a", None));
        for (bad, says) in [
            (&b"{}"[..], "files"),
            (br#"{"files": []}"#, "at least one"),
            (br#"{"files": [{"source": "a", "directory": "x"}]}"#, "directory"),
            (b"", "EOF"),
            (br#"{"files": [{"source": 5}]}"#, "string"),
        ] {
            let error = ArchiveManifest::parse(bad).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }
}
