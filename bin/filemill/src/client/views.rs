//! What the service answers, as far as the client looks at it. Unknown fields are left alone.

use anyhow::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    pub id: String,
    pub status: String,
    pub rule: String,
    pub processor: String,
    pub input: Object,
    pub output: Option<Object>,
    pub chunks: Chunks,
    pub bytes: Bytes,
    #[serde(default)]
    pub records: u64,
    #[serde(default)]
    pub rejects: u64,
    pub reject_file: Option<Object>,
    #[serde(default)]
    pub summary: serde_json::Map<String, Value>,
    #[serde(default)]
    pub attempts: u32,
    pub failure: Option<Failure>,
    pub dead_letter: Option<String>,
    pub created_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Object {
    pub bucket: String,
    pub key: String,
    pub size: u64,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Chunks {
    pub total: u32,
    pub done: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Bytes {
    #[serde(rename = "in")]
    pub read: u64,
    #[serde(rename = "out")]
    pub written: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
}

impl Job {
    pub fn has_ended(&self) -> bool {
        matches!(self.status.as_str(), "completed" | "failed" | "cancelled")
    }

    pub fn is_completed(&self) -> bool {
        self.status == "completed"
    }

    /// From the upload's arrival to the job's end.
    pub fn duration(&self) -> Option<std::time::Duration> {
        let at = |text: &str| filemill_core::time::Timestamp::parse(text);
        Some(at(self.finished_at.as_deref()?)?.since(at(&self.created_at)?))
    }

    /// Why it did not end well, on one line.
    pub fn reason(&self) -> String {
        match &self.failure {
            Some(f) => match &f.detail {
                Some(detail) => format!("{} ({}): {detail}", f.message, f.code),
                None => format!("{} ({})", f.message, f.code),
            },
            None => self.status.clone(),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct File {
    pub id: String,
    pub bucket: String,
    pub key: String,
    pub size: u64,
    pub created_at: String,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Key {
    pub id: String,
    pub name: String,
    pub role: String,
    pub tenant: Option<String>,
    pub limits: Vec<String>,
    #[serde(default)]
    pub queues: Vec<String>,
    pub access_key_id: String,
    pub expires_at: Option<String>,
    pub revoked_at: Option<String>,
}

/// A promise to upload with its links.
#[derive(Deserialize)]
pub struct UploadLinks {
    pub id: String,
    pub bucket: String,
    pub key: String,
    pub url: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub part_urls: Option<Vec<String>>,
    pub part_size: Option<u64>,
    pub complete_url: Option<String>,
    pub abort_url: Option<String>,
}

#[derive(Deserialize)]
pub struct Page {
    pub items: Vec<Value>,
    pub next_cursor: Option<String>,
}

/// Items as they came, for `--json`, and as views, for people.
pub struct Listed<T> {
    pub items: Vec<Value>,
    pub views: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Listed { items: Vec::new(), views: Vec::new(), next_cursor: None }
    }
}

impl<T: DeserializeOwned> Listed<T> {
    pub(super) fn decoded(mut self) -> Result<Self> {
        self.views = self.items.iter().cloned().map(super::decoded).collect::<Result<_>>()?;
        Ok(self)
    }

    pub fn to_json(&self) -> Value {
        json!({ "items": self.items, "next_cursor": self.next_cursor })
    }
}
