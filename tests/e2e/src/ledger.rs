//! What the service acknowledged, and the check that it kept its word.
//!
//! For every key: what it held after the last acknowledged request, and what an unanswered one may have made of it. After
//! a crash the key must hold one of the two, whole; anything else was lost, changed, undeleted or half visible. A result
//! may be that of an older version until the newest version's job has ended.

use crate::inputs::text;
use crate::reference::prefixed;
use crate::s3::{Listed, S3};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Fewer than there are keys, so that pages join.
const PAGE: usize = 20;

/// Made up from two numbers, so that a ledger of gigabytes is small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub seed: u64,
    pub bytes: usize,
}

impl Content {
    pub fn make(self) -> Vec<u8> {
        text(self.seed, self.bytes)
    }
}

#[derive(Debug, Default)]
struct Entry {
    /// `None`: nothing.
    settled: Option<Content>,
    /// What an unanswered request would make of it.
    pending: Option<Option<Content>>,
    /// Everything that it ever held, or may have held.
    versions: Vec<Content>,
}

#[derive(Default)]
struct Book {
    entries: BTreeMap<String, Entry>,
    acknowledged: usize,
    /// Writers at work.
    writers: usize,
    /// Answers are no promises any more.
    closed: bool,
}

#[derive(Default)]
pub struct Ledger {
    book: Mutex<Book>,
    bell: Condvar,
}

/// An object that was found as the ledger has it.
pub struct Kept {
    pub key: String,
    pub etag: String,
    pub content: Content,
}

impl Ledger {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn holds(&self, key: &str) -> Option<Content> {
        self.book().entries.get(key).and_then(|entry| entry.settled)
    }

    pub fn acknowledged(&self) -> usize {
        self.book().acknowledged
    }

    /// Before a request is sent that would leave the key like this.
    pub fn begin(&self, key: &str, outcome: Option<Content>) {
        let mut book = self.book();
        let entry = book.entries.entry(key.to_owned()).or_default();
        entry.pending = Some(outcome);
        entry.versions.extend(outcome);
    }

    /// The request was acknowledged. False if that came too late to be a promise.
    #[must_use]
    pub fn settle(&self, key: &str) -> bool {
        let mut book = self.book();
        if book.closed {
            return false;
        }
        let entry = book.entries.get_mut(key).expect("what is settled was begun");
        entry.settled = entry.pending.take().expect("what is settled was begun");
        book.acknowledged += 1;
        self.bell.notify_all();
        true
    }

    /// What is answered from here on, until the next check, is no promise: each request may have happened or not.
    pub fn close(&self) {
        self.book().closed = true;
    }

    pub fn writer_begins(&self) {
        self.book().writers += 1;
    }

    pub fn writer_ends(&self) {
        self.book().writers -= 1;
        self.bell.notify_all();
    }

    /// Returns after this many acknowledgements in all. False if the writers ended before.
    pub fn wait_for(&self, acknowledged: usize) -> bool {
        let waiting = |book: &mut Book| book.acknowledged < acknowledged && book.writers > 0;
        let book = self.bell.wait_while(self.book(), waiting).unwrap_or_else(PoisonError::into_inner);
        book.acknowledged >= acknowledged
    }

    /// Compares all with what the service lists and gives. What is there now is the truth of the next round.
    pub fn check(&self, s3: &S3) -> Vec<Kept> {
        let listed: BTreeMap<String, Listed> = s3.list(PAGE).into_iter().map(|o| (o.key.clone(), o)).collect();
        let mut book = self.book();
        book.closed = false;
        for key in listed.keys() {
            assert!(book.entries.contains_key(key), "{key} is listed and was never written");
        }
        let mut kept = Vec::new();
        for (key, entry) in &mut book.entries {
            let found = read(s3, key, listed.get(key));
            let allowed: Vec<Option<Content>> = [Some(entry.settled), entry.pending].into_iter().flatten().collect();
            let bytes = found.as_ref().map(|(bytes, _)| bytes);
            let now = allowed.iter().find(|content| content.map(Content::make).as_ref() == bytes);
            let now = *now.unwrap_or_else(|| {
                let size = bytes.map(Vec::len);
                panic!("{key}: acknowledged {:?}, unanswered {:?}, found {size:?} bytes", entry.settled, entry.pending)
            });
            (entry.settled, entry.pending) = (now, None);
            if let (Some(content), Some((_, etag))) = (now, found) {
                kept.push(Kept { key: key.clone(), etag, content });
            }
        }
        kept
    }

    /// Each result is exactly that of one version of its input. Jobs may go on meanwhile.
    pub fn check_results(&self, s3: &S3) {
        let book = self.book();
        for Listed { key, .. } in s3.list(PAGE) {
            let result = s3.get(&key).expect(200).body;
            let mut versions = book.entries.get(&key).into_iter().flat_map(|entry| entry.versions.iter().rev());
            assert!(versions.any(|version| prefixed(&version.make()) == result), "result {key} is of no version");
        }
    }
}

/// The object's bytes and tag; listing, tag and length must agree with them.
fn read(s3: &S3, key: &str, listed: Option<&Listed>) -> Option<(Vec<u8>, String)> {
    let reply = s3.get(key);
    if reply.status == 404 {
        assert!(listed.is_none(), "{key} is listed and cannot be read");
        return None;
    }
    assert_eq!(reply.status, 200, "{key}: {}", reply.text());
    let listed = listed.unwrap_or_else(|| panic!("{key} can be read and is not listed"));
    let etag = reply.header("etag").trim_matches('"').to_owned();
    assert_eq!((&etag, reply.body.len() as u64), (&listed.etag, listed.size), "{key} is listed as another");
    Some((reply.body, etag))
}
