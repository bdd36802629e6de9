//! The manifest of an archive: which objects, under which names. The same JSON by REST and as an object in a bucket.
//!
//! Reading one takes memory in proportion to what it may hold, not to what somebody wrote: entries and metadata are
//! counted while they are read. Whether the sources are there is not looked at here.

use crate::limits;
use crate::named::Named;
use crate::rule::Process;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use std::fmt;

/// A destination is at most as long as a key.
pub const DESTINATION_BYTES_MAX: usize = limits::KEY_BYTES_MAX;

/// The processor that makes archives.
pub const ARCHIVE_KIND: &str = "archive.zip";

/// Does this process leave out what is missing, rather than fail?
pub fn skips_missing(process: &Process) -> bool {
    process.options.get("on_missing").and_then(Value::as_str) == Some("skip")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveManifest {
    #[serde(deserialize_with = "bounded_files")]
    pub files: Vec<ArchiveFile>,
    /// What a browser should call the archive; `.zip` is added if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Given back with the job and its events.
    #[serde(default, skip_serializing_if = "Map::is_empty", deserialize_with = "bounded_metadata")]
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
    /// The error is for the person who wrote it, with line and column where JSON is at fault. A byte order mark in front
    /// is passed over.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() as u64 > limits::ARCHIVE_MANIFEST_BYTES_MAX {
            return Err(format!("a manifest has at most {} bytes", limits::ARCHIVE_MANIFEST_BYTES_MAX));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Named(manifest) = serde_json::from_slice::<Named<Self>>(bytes).map_err(|e| e.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    pub fn check(&self) -> Result<(), String> {
        match self.files.len() {
            0 => return Err("files is empty: an archive needs at least one".into()),
            n if n > limits::ARCHIVE_ENTRIES_MAX => return Err(too_many_files()),
            _ => {}
        }
        for (number, file) in (1..).zip(&self.files) {
            let bytes = file.destination.as_ref().map_or(0, String::len);
            if bytes > DESTINATION_BYTES_MAX {
                let most = DESTINATION_BYTES_MAX;
                return Err(format!("entry {number}: the destination has {bytes} bytes; at most {most} are allowed"));
            }
        }
        Ok(())
    }
}

fn too_many_files() -> String {
    format!("too many files: at most {} fit into one archive", limits::ARCHIVE_ENTRIES_MAX)
}

/// A list of files, counted while it is read.
pub fn bounded_files<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ArchiveFile>, D::Error> {
    struct Files;

    impl<'de> Visitor<'de> for Files {
        type Value = Vec<ArchiveFile>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of files")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut files = Vec::new();
            while let Some(Named(file)) = list.next_element()? {
                if files.len() == limits::ARCHIVE_ENTRIES_MAX {
                    return Err(A::Error::custom(too_many_files()));
                }
                files.push(file);
            }
            Ok(files)
        }
    }

    from.deserialize_seq(Files)
}

/// Metadata, measured while it is read.
pub fn bounded_metadata<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    let mut left = limits::JOB_METADATA_BYTES_MAX;
    match (Bounded { left: &mut left }).deserialize(from)? {
        Value::Object(map) => Ok(map),
        _ => Err(D::Error::custom("metadata is not an object")),
    }
}

/// Any JSON value, as long as its text is not longer than what is left: 16 MiB of `[[],[],...` would be 256 MiB of values.
struct Bounded<'a> {
    left: &'a mut usize,
}

impl Bounded<'_> {
    fn take<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        *self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            E::custom(format!("the metadata is longer than {} bytes", limits::JOB_METADATA_BYTES_MAX))
        })?;
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E: serde::de::Error>(mut self) -> Result<Value, E> {
        self.take(4)?;
        Ok(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(mut self, value: bool) -> Result<Value, E> {
        self.take(4)?;
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<Value, E> {
        self.take(1 + value.checked_ilog10().unwrap_or(0) as usize)?;
        Ok(value.into())
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<Value, E> {
        self.take(2 + value.unsigned_abs().checked_ilog10().unwrap_or(0) as usize)?;
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<Value, E> {
        self.take(3)?;
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(mut self, value: &str) -> Result<Value, E> {
        self.take(value.len() + 2)?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Value, A::Error> {
        self.take(2)?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(Bounded { left: self.left })? {
            self.take(1)?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Value, A::Error> {
        self.take(2)?;
        let mut values = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            self.take(name.len() + 4)?;
            let value = map.next_value_seed(Bounded { left: self.left })?;
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_is_read_strictly() {
        let read = ArchiveManifest::parse(b"\xef\xbb\xbf{\"files\": [{\"source\": \"a\"}], \"metadata\": {\"n\": 1}}");
        let read = read.expect("well formed");
        assert_eq!((read.files[0].source.as_str(), read.files[0].destination.as_deref()), ("a", None));
        for (bad, says) in [
            (&b"{}"[..], "files"),
            (br#"{"files": []}"#, "at least one"),
            (br#"{"files": [{"source": "a", "directory": "x"}]}"#, "directory"),
            (b"", "EOF"),
            (br#"{"files": [{"source": 5}]}"#, "string"),
            (b"{\"files\": [{\"source\": \"a\"},\n 5]}", "line 2 column 2"),
            (br#"{"files": [{"source": "a\ud800"}]}"#, "line 1"),
            (br#"{"files": [{"source": "a"}], "metadata": []}"#, "object"),
            (br#"{"files": [{"source": "a"}]} x"#, "trailing"),
        ] {
            let error = ArchiveManifest::parse(bad).expect_err("refused");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn metadata_comes_back_as_it_was_written() {
        let metadata = json!({ "a": [null, true, -5, 1.5, "é", { "b": [] }], "n": u64::MAX, "z": i64::MIN });
        let text = json!({ "files": [{ "source": "a" }], "metadata": metadata }).to_string();
        let read = ArchiveManifest::parse(text.as_bytes()).expect("well formed");
        assert_eq!(Value::Object(read.metadata), metadata);
    }

    /// A faster way to read numbers is off by one in the last digit, each time that it reads.
    #[test]
    fn a_fraction_comes_back_to_its_last_digit() {
        for text in [
            "2.1844674407370955",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "123456.78901234567",
            "2.2250738585072014e-308",
        ] {
            let written = format!(r#"{{"files":[{{"source":"a"}}],"metadata":{{"n":{text}}}}}"#);
            let read = ArchiveManifest::parse(written.as_bytes()).expect("well formed");
            let exact: f64 = text.parse().expect("a number");
            assert_eq!(read.metadata["n"].as_f64().map(f64::to_bits), Some(exact.to_bits()), "{text}");
            assert_eq!(ArchiveManifest::parse(&serde_json::to_vec(&read).expect("JSON")), Ok(read), "{text}");
        }
    }

    #[test]
    fn what_a_manifest_may_hold_is_counted_while_it_is_read() {
        let entry = r#"{"source":"a"},"#;
        let files = entry.repeat(limits::ARCHIVE_ENTRIES_MAX);
        let full = format!(r#"{{"files":[{}]}}"#, files.trim_end_matches(','));
        assert!(ArchiveManifest::parse(full.as_bytes()).is_ok());
        let more = format!(r#"{{"files":[{files}{{"source":"b"}}]}}"#);
        assert!(ArchiveManifest::parse(more.as_bytes()).expect_err("too many").contains("at most 100000"));

        let metadata = |value: &str| format!(r#"{{"files":[{{"source":"a"}}],"metadata":{{"m":{value}}}}}"#);
        let fits = format!("\"{}\"", "x".repeat(limits::JOB_METADATA_BYTES_MAX - 100));
        assert!(ArchiveManifest::parse(metadata(&fits).as_bytes()).is_ok());
        for long in
            [format!("\"{}\"", "x".repeat(limits::JOB_METADATA_BYTES_MAX)), format!("[{}[]]", "[],".repeat(9000))]
        {
            let error = ArchiveManifest::parse(metadata(&long).as_bytes()).expect_err("too long");
            assert!(error.contains("metadata is longer than"), "{error}");
        }
        let destination = "d".repeat(DESTINATION_BYTES_MAX + 1);
        let long = format!(r#"{{"files":[{{"source":"a","destination":"{destination}"}}]}}"#);
        assert!(ArchiveManifest::parse(long.as_bytes()).expect_err("too long").contains("entry 1"));
    }
}
