//! What a command or query can answer besides success, by what the caller can do about it.

use filemill_core::ports::{BlobConflict, BlobError, BoxError, InvalidBlob, MessageError, StateError, is_full};

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// `what` is `job`, `file`, `upload`, `bucket`, `rule`, `result`.
    #[error("there is no {what} {id:?}")]
    NotFound { what: &'static str, id: String },
    /// The request is wrong; `field` names its part.
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    /// The request is fine but not now. `code` is stable.
    #[error("{message}")]
    Conflict { code: &'static str, message: String },
    /// Try again later.
    #[error("the store is unavailable")]
    Unavailable(#[source] BoxError),
    /// There is no room for it. Try again when somebody has made some.
    #[error("the storage is full")]
    Full(#[source] BoxError),
    /// A bug of ours or damage below us.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

/// The configuration cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl CommandError {
    pub(crate) fn invalid(field: &'static str, message: impl Into<String>) -> Self {
        CommandError::Invalid { field, message: message.into() }
    }

    fn unavailable(source: BoxError) -> Self {
        if is_full(&*source) { CommandError::Full(source) } else { CommandError::Unavailable(source) }
    }

    pub(crate) fn not_found(what: &'static str, id: impl ToString) -> Self {
        CommandError::NotFound { what, id: id.to_string() }
    }
}

impl From<StateError> for CommandError {
    fn from(e: StateError) -> Self {
        match e {
            StateError::Conflict(message) => CommandError::Conflict { code: "conflict", message },
            StateError::Unavailable(source) => CommandError::unavailable(source),
            e @ (StateError::Unpublishable(_) | StateError::Invalid(_) | StateError::Corrupt(_)) => {
                CommandError::Internal(Box::new(e))
            }
        }
    }
}

impl From<BlobError> for CommandError {
    fn from(e: BlobError) -> Self {
        match e {
            BlobError::NotFound(what) => CommandError::not_found("object", what),
            BlobError::Conflict(c) => CommandError::Conflict { code: "conflict", message: c.to_string() },
            BlobError::Invalid(InvalidBlob::Name(e)) => CommandError::invalid("key", e.to_string()),
            BlobError::Invalid(e) => CommandError::invalid("request", e.to_string()),
            BlobError::Unavailable(source) => CommandError::unavailable(source),
            e @ BlobError::Corrupt(_) => CommandError::Internal(Box::new(e)),
        }
    }
}

impl From<MessageError> for CommandError {
    fn from(e: MessageError) -> Self {
        match e {
            MessageError::NotFound(name) => CommandError::not_found("message queue", name),
            MessageError::Conflict(_) | MessageError::OverLimit => {
                CommandError::Conflict { code: "conflict", message: e.to_string() }
            }
            MessageError::Invalid(message) => CommandError::invalid("message", message),
            MessageError::Unavailable(source) => CommandError::unavailable(source),
            MessageError::Corrupt(_) => CommandError::Internal(Box::new(e)),
        }
    }
}

pub(crate) fn is_bucket_exists(e: &BlobError) -> bool {
    matches!(e, BlobError::Conflict(BlobConflict::BucketExists))
}
