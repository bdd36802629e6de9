//! Telling receivers beyond the service: one call for one message.
//!
//! Clauses:
//! * N1 `Ok` means that the receiver took it. Anything else says whether another try can help.
//! * N2 each call carries the idempotency key; the same message has the same key in every try, so a receiver can tell
//!   a repeat.
//! * N3 a call ends by itself within its receiver's [`patience`](Receiver::patience), or is given up then; it may have
//!   arrived all the same.
//! * N4 no error text holds a secret, a signed link, or what the receiver answered.

use crate::notice::{Notice, Receiver};
use crate::time::Timestamp;
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
pub trait Notifier: Send + Sync {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError>;

    /// The receiver behind an address that an uploader gave. The error says why not, and what would do.
    fn receiver_of_upload(&self, url: &str) -> Result<Receiver, String>;
}

/// One message.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub receiver: Receiver,
    pub idempotency_key: String,
    /// One; several only in a digest by mail, in their order.
    pub notices: Vec<Notice>,
    /// The time of this try.
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Another try cannot help.
    #[error("{message}")]
    Permanent { message: String },
    #[error("{message}")]
    Transient { message: String, retry_after: Option<Duration> },
    /// The receiver is there and did not take this one; a later try may help, and the next notice may be taken.
    #[error("{message}")]
    NotTaken { message: String },
}

impl NotifyError {
    pub fn permanent(message: impl Into<String>) -> Self {
        NotifyError::Permanent { message: message.into() }
    }

    pub fn transient(message: impl Into<String>) -> Self {
        NotifyError::Transient { message: message.into(), retry_after: None }
    }

    pub fn message(&self) -> &str {
        match self {
            NotifyError::Permanent { message }
            | NotifyError::Transient { message, .. }
            | NotifyError::NotTaken { message } => message,
        }
    }
}

/// For a service that tells nobody but the live feed.
pub struct NoNotifier;

#[async_trait]
impl Notifier for NoNotifier {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError> {
        Err(NotifyError::permanent(format!("the config names no receiver {}", parcel.receiver.lane())))
    }

    fn receiver_of_upload(&self, _: &str) -> Result<Receiver, String> {
        Err("this service tells of uploads by its live feed only".to_owned())
    }
}
