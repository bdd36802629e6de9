//! What a service said, line by line, and the proof that it said no secret.

use crate::service::Credentials;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Gathers lines until the stream ends.
#[derive(Clone, Default)]
pub struct Logs {
    lines: Arc<Mutex<Vec<String>>>,
    /// What a scenario made or gave that no line may hold.
    secrets: Arc<Mutex<Vec<String>>>,
}

/// What no line may hold whoever made it: signatures of links, tokens of keys, keys of webhooks.
const SIGNS: [&str; 5] = ["X-Amz-Signature", "x-amz-signature", "Bearer ", "fmk_", "whsec_"];

impl Logs {
    pub fn gather(&self, stream: impl Read + Send + 'static) -> JoinHandle<()> {
        let logs = self.clone();
        std::thread::spawn(move || {
            let mut lines = BufReader::new(stream);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                logs.push(String::from_utf8_lossy(&line).trim_end().to_owned());
                line.clear();
            }
        })
    }

    pub fn push(&self, line: String) {
        self.all().push(line);
    }

    pub fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn keep_secret(&self, secret: &str) {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).push(secret.to_owned());
    }

    pub fn contain(&self, text: &str) -> bool {
        self.all().iter().any(|line| line.contains(text))
    }

    /// The last lines, for a failure's report.
    pub fn tail(&self) -> String {
        let all = self.all();
        all[all.len().saturating_sub(40)..].join("\n")
    }

    pub fn assert_no_secret(&self, credentials: &Credentials) {
        let more = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        let own = [&credentials.admin_token, &credentials.s3_secret].into_iter().chain(&*more);
        for secret in own.map(String::as_str).chain(SIGNS) {
            for line in self.all().iter() {
                assert!(!line.contains(secret), "a log line holds a secret or a signed link: {line}");
            }
        }
    }
}
