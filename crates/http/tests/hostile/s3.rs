//! The S3 door: signatures by header and by link, `aws-chunked` bodies, XML documents, forms, and what stands in queries
//! and headers behind a right signature.

mod chunks;
mod documents;
mod forms;
mod operations;
mod signatures;

use crate::s3_client::{BUCKET, Request, SECRET, TestDoor};
use crate::wire::{Answer, Wire};
use filemill_core::object::BucketName;
use filemill_core::ports::ListObjects;

const KEY: &str = "k";
const CONTENT: &[u8] = b"the content";
const LARGE: usize = 256 << 10;

/// Head and body as they go over the wire.
#[derive(Debug)]
struct Raw {
    head: Vec<u8>,
    body: Vec<u8>,
}

/// The door with one object, and a connection to it.
struct Site {
    door: TestDoor,
    wire: Wire,
}

impl Site {
    async fn open() -> Self {
        let door = TestDoor::open().await;
        door.put(KEY, CONTENT).await;
        Site { wire: Wire::to(door.address), door }
    }

    async fn exchange(&mut self, raw: &Raw) -> Result<Answer, String> {
        let answer = self.wire.exchange(&raw.head, &raw.body).await?;
        if answer.tells(SECRET) {
            return Err("the answer tells the secret".to_owned());
        }
        Ok(answer)
    }

    async fn send(&mut self, raw: &Raw) -> Result<u16, String> {
        Ok(self.exchange(raw).await?.status)
    }

    /// A request that nobody spoilt must be taken.
    async fn must(&mut self, request: &Request, body: &[u8]) -> Result<Answer, String> {
        let (head, _) = request.signed_head(Some(body.len() as u64));
        let answer = self.exchange(&Raw { head: head.into_bytes(), body: body.to_vec() }).await?;
        if answer.status < 300 { Ok(answer) } else { Err(format!("{} {}", answer.status, answer.text())) }
    }

    async fn put_and_get(&mut self) -> Result<(), String> {
        self.must(&self.door.request("PUT", KEY), CONTENT).await?;
        self.get().await
    }

    async fn get(&mut self) -> Result<(), String> {
        let got = self.must(&self.door.request("GET", KEY), b"").await?;
        if got.body == CONTENT { Ok(()) } else { Err(format!("{KEY:?} holds {:?}", got.text())) }
    }

    async fn keys(&self) -> Vec<String> {
        let bucket = BucketName::parse(BUCKET).expect("a name");
        let all = ListObjects { bucket, prefix: String::new(), delimiter: None, owner: None, after: None, limit: 1000 };
        let page = self.door.store.list(&all).await.expect("a page");
        page.objects.into_iter().map(|object| object.key.to_string()).collect()
    }

    /// Nobody signed for any other object, or for other bytes.
    async fn only_what_was_signed(&mut self) -> Result<(), String> {
        let keys = self.keys().await;
        if keys != [KEY] {
            return Err(format!("there are objects that nobody signed for: {keys:?}"));
        }
        self.get().await
    }
}
