//! Messages that start rules: each message of a queue that a rule names becomes an object in the rule's bucket, and the
//! ordinary path goes on from there.
//!
//! The message is deleted once its object and the announcement are on disk. The key follows from queue and message, and the
//! object is written only where none is and none was: a message that comes again makes nothing twice. One that can never
//! become an object is left to its queue's redrive policy.

use crate::Engine;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use filemill_core::ids::FileId;
use filemill_core::limits;
use filemill_core::message::{
    AttributeValue, MessageAttributes, MessageQueueName, MessageQueueSettings, ReceivedMessage,
};
use filemill_core::object::{Attributes, BucketName, ObjectKey};
use filemill_core::ports::{
    BlobConflict, BlobError, BoxError, Durability, MessageError, Precondition, PutObject, Receive, Staged, StateError,
};
use futures::future::join_all;
use std::collections::BTreeMap;
use std::io::Write;
use tokio_util::sync::CancellationToken;

/// Taken in one go: as many as a receive and a delete may have.
const BATCH: u32 = limits::MESSAGE_BATCH_MAX as u32;

/// Why a message is no object.
#[derive(Debug, thiserror::Error)]
enum NoObject {
    /// Nor will it ever be.
    #[error("{0}")]
    Never(String),
    #[error("not now: {0}")]
    NotNow(#[source] BoxError),
}

impl From<StateError> for NoObject {
    fn from(e: StateError) -> Self {
        NoObject::NotNow(e.into())
    }
}

impl From<BlobError> for NoObject {
    fn from(e: BlobError) -> Self {
        match e {
            BlobError::Invalid(why) => NoObject::Never(why.to_string()),
            e => NoObject::NotNow(e.into()),
        }
    }
}

/// The queues that rules name, and those that are told. One that is there stays as it is.
pub(crate) async fn prepare(engine: &Engine) -> Result<(), MessageError> {
    let messages = &engine.inner.ports.messages;
    let config = &engine.inner.config;
    for name in config.rules.message_queues().keys().chain(config.notify.message_queues()) {
        match messages.message_queue(name).await {
            Err(MessageError::NotFound(_)) => {}
            other => {
                other?;
                continue;
            }
        }
        match messages.create_queue(name, &MessageQueueSettings::default()).await {
            // somebody was faster
            Err(MessageError::Conflict(_)) => {}
            other => other?,
        }
    }
    Ok(())
}

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let queues = engine.inner.config.rules.message_queues();
    join_all(queues.iter().map(|(queue, bucket)| feed(engine, queue, bucket, &stop))).await;
}

/// A batch that was received is finished also when `stop` comes.
async fn feed(engine: &Engine, queue: &MessageQueueName, bucket: &BucketName, stop: &CancellationToken) {
    let wanted = Receive { max: BATCH, visibility: Some(limits::LEASE), wait: Some(limits::MESSAGE_WAIT_MAX) };
    let mut is_told = false;
    loop {
        if engine.inner.ports.blobs.room().is_low() {
            // what is received now could not be stored, and each receive counts
            engine.pause_for_outage(stop).await;
            if stop.is_cancelled() {
                return;
            }
            continue;
        }
        let received = stop.run_until_cancelled(engine.inner.ports.messages.receive(queue, wanted)).await;
        is_told &= matches!(received, Some(Err(_)));
        match received {
            None => return,
            Some(Ok(messages)) if messages.is_empty() => {}
            Some(Ok(messages)) => take(engine, queue, bucket, messages, stop).await,
            Some(Err(e)) => {
                if !is_told {
                    tracing::warn!(queue = %queue, error = %e, "a queue that starts rules cannot be read; it is tried again");
                }
                is_told = true;
                engine.pause_for_outage(stop).await;
            }
        }
    }
}

async fn take(
    engine: &Engine,
    queue: &MessageQueueName,
    bucket: &BucketName,
    messages: Vec<ReceivedMessage>,
    stop: &CancellationToken,
) {
    let outcomes = join_all(messages.iter().map(|message| store(engine, queue, bucket, message))).await;
    let (mut done, mut is_outage) = (Vec::new(), false);
    for (message, outcome) in messages.iter().zip(outcomes) {
        match outcome {
            Ok(()) => done.push(message.receipt),
            // most likely told already, when it came first; without a redrive policy it comes for days
            Err(NoObject::Never(why)) if message.receives > 1 => {
                tracing::debug!(queue = %queue, message_id = %message.id, receives = message.receives, error = %why,
                    "a message does not become an object");
            }
            Err(why) => {
                is_outage |= matches!(why, NoObject::NotNow(_));
                tracing::warn!(queue = %queue, message_id = %message.id, receives = message.receives, error = %why,
                    "a message did not become an object; its queue's redrive policy decides");
            }
        }
    }
    if !done.is_empty()
        && let Err(e) = engine.inner.ports.messages.delete_messages(queue, &done).await
    {
        // they come again and find their objects
        tracing::warn!(queue = %queue, error = %e, "messages that became objects are not deleted yet");
    }
    if is_outage {
        engine.pause_for_outage(stop).await;
    }
}

/// `Ok` also where the object is there, or was: a job may have removed its source.
async fn store(
    engine: &Engine,
    queue: &MessageQueueName,
    bucket: &BucketName,
    message: &ReceivedMessage,
) -> Result<(), NoObject> {
    let (extension, content_type) = kind_of(&message.body);
    let key = ObjectKey::parse(&format!("{queue}/{}.{extension}", message.id));
    let key = key.map_err(|e| NoObject::Never(e.to_string()))?;
    if engine.inner.ports.state.file(&FileId::of(bucket, &key)).await?.is_some() {
        return Ok(());
    }
    let max = engine.inner.config.max_size_of(bucket);
    if message.body.len() as u64 > max {
        return Err(NoObject::Never(format!("it has {} bytes; bucket {bucket} takes {max}", message.body.len())));
    }
    let metadata = metadata_of(&message.attributes).map_err(NoObject::Never)?;
    let put = PutObject {
        bucket: bucket.clone(),
        key,
        attributes: Attributes { content_type: Some(content_type.into()), metadata, ..Attributes::default() },
        checksums: Default::default(),
        etag: None,
        condition: Precondition::IfAbsent,
    };
    let staged = stage(engine, message.body.clone()).await?;
    match engine.inner.ports.blobs.put(put, staged, Durability::Synced).await {
        Ok(_) | Err(BlobError::Conflict(BlobConflict::Precondition)) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

async fn stage(engine: &Engine, body: String) -> Result<Staged, NoObject> {
    let blobs = engine.inner.ports.blobs.clone();
    let work = move || -> Result<Staged, BlobError> {
        if body.len() as u64 <= limits::INLINE_BYTES_MAX {
            return Ok(Staged::inline(Bytes::from(body)));
        }
        let mut stage = blobs.stage(Some(body.len() as u64))?;
        stage.write_all(body.as_bytes()).map_err(BlobError::unavailable)?;
        stage.finish()
    };
    let staged = engine.inner.ports.compute.run(work).await;
    Ok(staged.map_err(|e| NoObject::NotNow(Box::new(e)))??)
}

/// Rules tell files by their extension. What a message holds follows from its body alone, so it is the same each time.
fn kind_of(body: &str) -> (&'static str, &'static str) {
    let is_structured = body.trim_start().starts_with(['{', '[']);
    if is_structured && serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() {
        ("json", "application/json")
    } else {
        ("txt", "text/plain; charset=utf-8")
    }
}

/// Text and numbers; names in lower case, as metadata has them.
fn metadata_of(attributes: &MessageAttributes) -> Result<BTreeMap<String, String>, String> {
    let mut metadata = BTreeMap::new();
    for (name, attribute) in attributes {
        let AttributeValue::Text(text) = &attribute.value else { continue };
        if metadata.insert(name.to_ascii_lowercase(), header_text(text)).is_some() {
            return Err(format!("its attribute {name:?} is there twice when case does not matter"));
        }
    }
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits::METADATA_BYTES_MAX {
        let max = limits::METADATA_BYTES_MAX;
        return Err(format!("its attributes have {bytes} bytes; an object's metadata has at most {max}"));
    }
    Ok(metadata)
}

/// What a header cannot carry is encoded, as S3 answers such metadata (RFC 2047).
fn header_text(text: &str) -> String {
    let is_plain = text.bytes().all(|b| (b' '..=b'~').contains(&b)) && text.trim() == text;
    if is_plain { text.to_owned() } else { format!("=?UTF-8?B?{}?=", STANDARD.encode(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use filemill_core::message::MessageAttribute;

    #[test]
    fn a_message_is_json_only_if_it_is() {
        for (body, extension) in
            [("{\"a\": 1}", "json"), (" [1]\n", "json"), ("{", "txt"), ("1", "txt"), ("", "txt"), ("{} {}", "txt")]
        {
            assert_eq!(kind_of(body).0, extension, "{body}");
        }
    }

    fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> MessageAttributes {
        let attribute =
            |text: &str| MessageAttribute { data_type: "String".into(), value: AttributeValue::Text(text.into()) };
        pairs.into_iter().map(|(name, text)| (name.to_owned(), attribute(text))).collect()
    }

    #[test]
    fn attributes_become_metadata_that_headers_carry() {
        let got =
            metadata_of(&attributes([("Who", "me and you"), ("city", "Zürich"), ("edge", " x")])).expect("they fit");
        let pairs: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("city", "=?UTF-8?B?WsO8cmljaA==?="), ("edge", "=?UTF-8?B?IHg=?="), ("who", "me and you")]);
    }

    #[test]
    fn attributes_that_are_no_metadata_are_refused() {
        assert!(metadata_of(&attributes([("a", "1"), ("A", "2")])).is_err());
        assert!(metadata_of(&attributes([("a", &"x".repeat(2048))])).is_err());
        assert!(metadata_of(&attributes([("a", &"x".repeat(2047))])).is_ok());
    }
}
