//! A client of one key: puts, overwrites, uploads in parts, promises and deletions, one after the other.
//!
//! It notes each act with what it was told. An act without a clear answer may be tried again, or left as unknown.

use crate::ledger::{Outcome, halves};
use crate::scenario::STORM;
use crate::service::Service;
use bytes::Bytes;
use filemill_core::access::Principal;
use filemill_core::checksum::Checksums;
use filemill_core::ids::FileId;
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::*;
use filemill_engine::{CommandError, NewUpload};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use std::time::Duration;

pub struct Client<'a> {
    pub service: &'a Service,
    pub key: ObjectKey,
    pub chance: SmallRng,
}

impl Client<'_> {
    pub async fn run(mut self) {
        let acts = self.service.scenario.acts_per_key;
        for _ in 0..acts {
            let pause = self.chance.random_range(0..STORM.as_millis() as u64 / u64::from(acts));
            let pause = if self.chance.random_bool(0.3) { pause / 50 } else { pause };
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match self.chance.random_range(0..10) {
                0 => self.delete_object().await,
                1 => self.delete_file().await,
                2 => self.promise_and_keep().await,
                3 | 4 => self.upload_in_parts().await,
                _ => self.put().await,
            }
        }
    }

    fn bucket(&self) -> BucketName {
        self.service.scenario.from()
    }

    /// Lines of any length, with every byte that lines trip over. The start makes most contents unique.
    fn content(&mut self) -> Bytes {
        let length = self.chance.random_range(0..self.service.scenario.content_bytes_max);
        let letters = ["a", "b", "\n", "\n", "\r\n", "\0", "é", "\u{1f600}", " ", ","];
        let mut content = match self.chance.random_range(0..10) {
            0 => return Bytes::new(),
            1 => String::new(),
            _ => format!("{}", self.chance.random::<u32>()),
        };
        while content.len() < length {
            content.push_str(letters.choose(&mut self.chance).expect("letters"));
        }
        content.into()
    }

    async fn put(&mut self) {
        let content = self.content();
        loop {
            let put = self.service.call(self.put_once(&content)).await;
            let outcome = if matches!(put, Some(Ok(_))) { Outcome::Done } else { Outcome::Unknown };
            self.service.ledger().act(&self.key, Some(content.clone()), outcome);
            if outcome == Outcome::Done || self.chance.random_bool(0.3) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn put_once(&self, content: &Bytes) -> Result<(), BlobError> {
        let put = PutObject {
            bucket: self.bucket(),
            key: self.key.clone(),
            attributes: Attributes { content_type: Some("text/plain".into()), ..Attributes::default() },
            checksums: Checksums::default(),
            etag: None,
            condition: Precondition::None,
        };
        self.service.store.put(put, Staged::inline(content.clone()), Durability::Synced).await.map(drop)
    }

    /// As S3 clients do. Whatever goes wrong, an upload is left behind for the sweeper.
    async fn upload_in_parts(&mut self) {
        let content = self.content();
        let upload = self.service.call(self.send_parts(&content)).await;
        let Some(Ok((upload, parts))) = upload else { return };
        if self.chance.random_bool(0.1) {
            return;
        }
        let complete = CompleteMultipart {
            parts,
            checksums: Checksums::default(),
            condition: Precondition::None,
            min_part_bytes: 0,
        };
        let completed = self.service.call(self.service.store.complete_multipart(&upload, complete)).await;
        let outcome = if matches!(completed, Some(Ok(_))) { Outcome::Done } else { Outcome::Unknown };
        self.service.ledger().act(&self.key, Some(content), outcome);
    }

    async fn send_parts(&self, content: &Bytes) -> Result<(MultipartRef, Vec<PartRef>), BlobError> {
        let store = &self.service.store;
        let (bucket, key) = (self.bucket(), self.key.clone());
        let begin = BeginMultipart { bucket: bucket.clone(), key: key.clone(), attributes: Attributes::default() };
        let id = store.begin_multipart(begin).await?;
        let upload = MultipartRef { bucket, key, id };
        let (head, tail) = halves(content);
        let mut parts = Vec::new();
        for (number, half) in [(1, head), (2, tail)] {
            let part = store.put_part(&upload, number, Staged::inline(half), None, Checksums::default()).await?;
            parts.push(PartRef { number, handle: None, etag: Some(part.etag) });
        }
        Ok((upload, parts))
    }

    async fn delete_object(&mut self) {
        let bucket = self.bucket();
        let deleted = self.service.call(self.service.store.delete(&bucket, &self.key, Precondition::None)).await;
        let outcome = if matches!(deleted, Some(Ok(_))) { Outcome::Done } else { Outcome::Unknown };
        self.service.ledger().act(&self.key, None, outcome);
    }

    /// Through the engine's door: a file that is not known cannot be deleted.
    async fn delete_file(&mut self) {
        let Some(engine) = self.service.engine(self.chance.random_range(0..3)) else { return };
        let id = FileId::of(&self.bucket(), &self.key);
        match self.service.call(engine.delete_file(&Principal::service(), &id)).await {
            Some(Ok(())) => self.service.ledger().act(&self.key, None, Outcome::Done),
            Some(Err(CommandError::NotFound { .. })) => {}
            _ => self.service.ledger().act(&self.key, None, Outcome::Unknown),
        }
    }

    /// A promise to upload to this key; mostly kept.
    async fn promise_and_keep(&mut self) {
        let Some(engine) = self.service.engine(self.chance.random_range(0..3)) else { return };
        let new = NewUpload {
            filename: "a file.txt".into(),
            bucket: Some(self.bucket()),
            key: Some(self.key.clone()),
            ..NewUpload::default()
        };
        let Some(Ok(ticket)) = self.service.call(engine.create_upload(&Principal::service(), new)).await else {
            return;
        };
        self.service.ledger().uploads.insert(ticket.upload.id.clone(), self.key.clone());
        if self.chance.random_bool(0.7) {
            self.put().await;
        }
    }
}
