//! The actions that the door answers: one visible list.

use super::errors::Refusal;
use super::protocol::{TARGET, TARGET_PREFIX};
use super::{Call, queues, receipts, receive, send};
use bytes::Bytes;
use filemill_core::access::Scope;
use http::HeaderMap;
use serde_json::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    CreateQueue,
    GetQueueUrl,
    ListQueues,
    GetQueueAttributes,
    SetQueueAttributes,
    DeleteQueue,
    PurgeQueue,
    ListDeadLetterSourceQueues,
    SendMessage,
    SendMessageBatch,
    ReceiveMessage,
    DeleteMessage,
    DeleteMessageBatch,
    ChangeMessageVisibility,
    ChangeMessageVisibilityBatch,
}

const ALL: &[(&str, Action)] = &[
    ("CreateQueue", Action::CreateQueue),
    ("GetQueueUrl", Action::GetQueueUrl),
    ("ListQueues", Action::ListQueues),
    ("GetQueueAttributes", Action::GetQueueAttributes),
    ("SetQueueAttributes", Action::SetQueueAttributes),
    ("DeleteQueue", Action::DeleteQueue),
    ("PurgeQueue", Action::PurgeQueue),
    ("ListDeadLetterSourceQueues", Action::ListDeadLetterSourceQueues),
    ("SendMessage", Action::SendMessage),
    ("SendMessageBatch", Action::SendMessageBatch),
    ("ReceiveMessage", Action::ReceiveMessage),
    ("DeleteMessage", Action::DeleteMessage),
    ("DeleteMessageBatch", Action::DeleteMessageBatch),
    ("ChangeMessageVisibility", Action::ChangeMessageVisibility),
    ("ChangeMessageVisibilityBatch", Action::ChangeMessageVisibilityBatch),
];

/// An action with its input, in JSON.
#[derive(Debug)]
pub struct Order {
    pub action: Action,
    pub input: Bytes,
}

impl Action {
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, action)| *action == self).map_or("Unknown", |(name, _)| name)
    }

    /// What it takes, beside a queue that one was given.
    pub fn scope(self) -> Scope {
        match self {
            Action::GetQueueUrl | Action::ListQueues => Scope::Read,
            Action::GetQueueAttributes | Action::ListDeadLetterSourceQueues => Scope::Read,
            Action::SendMessage | Action::SendMessageBatch | Action::ReceiveMessage => Scope::Messages,
            Action::DeleteMessage | Action::DeleteMessageBatch => Scope::Messages,
            Action::ChangeMessageVisibility | Action::ChangeMessageVisibilityBatch => Scope::Messages,
            Action::PurgeQueue => Scope::Operate,
            Action::CreateQueue | Action::SetQueueAttributes | Action::DeleteQueue => Scope::Service,
        }
    }

    /// Of the others SQS tells in XML only that they are done.
    pub fn has_result(self) -> bool {
        !matches!(
            self,
            Action::SetQueueAttributes
                | Action::DeleteQueue
                | Action::PurgeQueue
                | Action::DeleteMessage
                | Action::ChangeMessageVisibility
        )
    }

    pub async fn run(self, call: Call<'_>, body: &[u8]) -> Result<Value, Refusal> {
        match self {
            Action::CreateQueue => queues::create(call, body).await,
            Action::GetQueueUrl => queues::get_url(call, body).await,
            Action::ListQueues => queues::list(call, body).await,
            Action::GetQueueAttributes => queues::get_attributes(call, body).await,
            Action::SetQueueAttributes => queues::set_attributes(call, body).await,
            Action::DeleteQueue => queues::delete(call, body).await,
            Action::PurgeQueue => queues::purge(call, body).await,
            Action::ListDeadLetterSourceQueues => queues::list_sources(call, body).await,
            Action::SendMessage => send::one(call, body).await,
            Action::SendMessageBatch => send::batch(call, body).await,
            Action::ReceiveMessage => receive::receive(call, body).await,
            Action::DeleteMessage => receipts::delete(call, body).await,
            Action::DeleteMessageBatch => receipts::delete_batch(call, body).await,
            Action::ChangeMessageVisibility => receipts::change_visibility(call, body).await,
            Action::ChangeMessageVisibilityBatch => receipts::change_visibility_batch(call, body).await,
        }
    }
}

pub fn find(name: &str) -> Result<Action, Refusal> {
    let found = ALL.iter().find(|(known, _)| *known == name).map(|(_, action)| *action);
    found.ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        let known: Vec<&str> = ALL.iter().map(|(known, _)| *known).collect();
        Refusal::unsupported(format!("{shown:?} is not offered here; there are {}.", known.join(", ")))
    })
}

/// For metrics, where there is no action: never a name that a client made up.
pub fn label(headers: &HeaderMap) -> &'static str {
    let name = named(headers);
    ALL.iter().find(|(known, _)| *known == name).map_or("Unknown", |(known, _)| known)
}

pub fn named(headers: &HeaderMap) -> &str {
    let target = headers.get(TARGET).and_then(|value| value.to_str().ok());
    target.and_then(|target| target.strip_prefix(TARGET_PREFIX)).unwrap_or_default()
}
