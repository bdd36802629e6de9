//! Errors as SQS names them. The only place where the port's errors become SQS's.
//!
//! A message says what was wrong and what may be given; it never carries an expected signature or a secret.

use super::body::BodyProblem;
use crate::pace::TooOften;
use filemill_core::access::{Role, Scope};
use filemill_core::ports::{MessageError, is_full};
use filemill_engine::CommandError;

/// `kind` is the JSON protocol's name of the error, `query_code` the code that clients and scripts compare with.
#[derive(Debug)]
pub struct Refusal {
    pub status: u16,
    pub kind: &'static str,
    pub query_code: &'static str,
    pub message: String,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Refusal { status, kind, query_code, message: message.into() }
    }

    fn same(kind: &'static str, message: impl Into<String>) -> Self {
        Refusal::new(400, kind, kind, message)
    }

    fn forbidden(kind: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Refusal::new(403, kind, query_code, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Refusal::new(400, "InvalidParameterValueException", "InvalidParameterValue", message)
    }

    pub fn missing(what: &str) -> Self {
        let message = format!("The request must contain the parameter {what}.");
        Refusal::new(400, "MissingRequiredParameterException", "MissingParameter", message)
    }

    pub fn malformed(message: impl Into<String>) -> Self {
        Refusal::same("SerializationException", message)
    }

    pub fn malformed_form(message: impl Into<String>) -> Self {
        Refusal::same("MalformedQueryString", message)
    }

    pub fn missing_action() -> Self {
        Refusal::same("MissingAction", "The form must contain the parameter Action.")
    }

    pub fn version(message: impl Into<String>) -> Self {
        Refusal::same("NoSuchVersion", message)
    }

    /// Whose fault it is.
    pub fn side(&self) -> &'static str {
        if self.status < 500 { "Sender" } else { "Receiver" }
    }

    pub fn address(message: impl Into<String>) -> Self {
        Refusal::same("InvalidAddress", message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Refusal::new(400, "UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation", message)
    }

    pub fn attribute_name(message: impl Into<String>) -> Self {
        Refusal::same("InvalidAttributeName", message)
    }

    pub fn attribute_value(message: impl Into<String>) -> Self {
        Refusal::same("InvalidAttributeValue", message)
    }

    pub fn message_contents(message: impl Into<String>) -> Self {
        Refusal::same("InvalidMessageContents", message)
    }

    pub fn receipt() -> Self {
        Refusal::same("ReceiptHandleIsInvalid", "The receipt handle is none that ReceiveMessage gave out.")
    }

    pub fn not_in_flight() -> Self {
        let message = "The message is not in flight by this receipt: it is visible, deleted, or was received again.";
        Refusal::new(400, "MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight", message)
    }

    pub fn queue_exists(message: impl Into<String>) -> Self {
        Refusal::new(400, "QueueNameExists", "QueueAlreadyExists", message)
    }

    pub fn no_such_queue(name: &str) -> Self {
        let message = format!("The queue {name} does not exist.");
        Refusal::new(400, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", message)
    }

    pub fn empty_batch() -> Self {
        let message = "There must be at least one entry in Entries.";
        Refusal::new(400, "EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", message)
    }

    pub fn batch_too_large(count: usize, max: usize) -> Self {
        let message = format!("A batch has at most {max} entries; this one has {count}.");
        let code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest";
        Refusal::new(400, "TooManyEntriesInBatchRequest", code, message)
    }

    pub fn batch_too_long(bytes: u64, max: u32) -> Self {
        let message = format!("The messages of a batch have at most {max} bytes together; these have {bytes}.");
        Refusal::new(400, "BatchRequestTooLong", "AWS.SimpleQueueService.BatchRequestTooLong", message)
    }

    pub fn batch_id(id: &str) -> Self {
        let message = format!("{id:?} is no entry id: use 1 to 80 letters, digits, hyphens and underscores.");
        Refusal::new(400, "InvalidBatchEntryId", "AWS.SimpleQueueService.InvalidBatchEntryId", message)
    }

    pub fn batch_ids_not_distinct(id: &str) -> Self {
        let message = format!("The entry id {id:?} is given twice.");
        Refusal::new(400, "BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", message)
    }

    pub fn unsigned() -> Self {
        let message = "Requests must be signed: SigV4 in the Authorization header, with service sqs.";
        Refusal::forbidden("MissingAuthenticationTokenException", "MissingAuthenticationToken", message)
    }

    pub fn signature_format(message: impl Into<String>) -> Self {
        Refusal::forbidden("IncompleteSignatureException", "IncompleteSignature", message)
    }

    pub fn unknown_key() -> Self {
        let message = "The access key id in the signature is not one of this service.";
        Refusal::forbidden("UnrecognizedClientException", "InvalidClientTokenId", message)
    }

    pub fn no_queues() -> Self {
        let message = "This key may not use the queues: it was given none. A new one gets some: filemill keys create --queue NAME.";
        Refusal::forbidden("AccessDeniedException", "AccessDenied", message)
    }

    pub fn denied(role: Role, action: &str, scope: Scope) -> Self {
        let who = if scope == Scope::Service { "; an admin of the whole service may" } else { "" };
        let message = format!("This key, of role {}, may not {action}{who}.", role.as_str());
        Refusal::forbidden("AccessDeniedException", "AccessDenied", message)
    }

    pub fn revoked() -> Self {
        Refusal::forbidden("AccessDeniedException", "AccessDenied", "This key opens nothing any more.")
    }

    pub fn too_often(over: &TooOften) -> Self {
        Refusal::same("RequestThrottled", format!("{}; try again in {} s.", over.who, over.retry_after_secs))
    }

    pub fn signature() -> Self {
        let message = "The signature does not match. Check the secret access key and what is signed.";
        Refusal::forbidden("InvalidSignatureException", "SignatureDoesNotMatch", message)
    }

    pub fn forbidden_token(message: impl Into<String>) -> Self {
        Refusal::forbidden("InvalidClientTokenId", "InvalidClientTokenId", message)
    }

    pub fn skewed(message: impl Into<String>) -> Self {
        Refusal::forbidden("RequestExpired", "RequestExpired", message)
    }
}

impl From<MessageError> for Refusal {
    fn from(e: MessageError) -> Self {
        match e {
            MessageError::NotFound(name) => Refusal::no_such_queue(name.as_str()),
            MessageError::Conflict(name) => {
                Refusal::queue_exists(format!("A queue named {name} exists with other attributes."))
            }
            MessageError::Invalid(message) => Refusal::invalid(message),
            MessageError::OverLimit => Refusal::new(403, "OverLimit", "OverLimit", e.to_string()),
            MessageError::Unavailable(source) if is_full(source.as_ref()) => {
                tracing::warn!(error = %source, "a message found no room");
                come_again("The storage is full; nothing was stored. Try again later.")
            }
            MessageError::Unavailable(source) => {
                tracing::error!(error = %source, "message queues are unavailable");
                come_again("The message queues are unavailable. Try again later.")
            }
            MessageError::Corrupt(what) => {
                tracing::error!(%what, "a stored message is corrupt");
                Refusal::new(500, "InternalFailure", "InternalFailure", "A stored message cannot be read.")
            }
        }
    }
}

/// Of looking up a key, and of writing the audit log.
impl From<CommandError> for Refusal {
    fn from(e: CommandError) -> Self {
        match e {
            CommandError::Unavailable(source) | CommandError::Full(source) => MessageError::Unavailable(source).into(),
            e => {
                tracing::error!(error = %e, "a key cannot be looked up, or no audit entry be written");
                Refusal::new(500, "InternalFailure", "InternalFailure", "Something failed inside of the service.")
            }
        }
    }
}

impl From<BodyProblem> for Refusal {
    fn from(problem: BodyProblem) -> Self {
        match problem {
            BodyProblem::NoLength => {
                Refusal::new(411, "MissingContentLength", "MissingContentLength", problem.to_string())
            }
            BodyProblem::TooLong => {
                Refusal::new(413, "RequestEntityTooLarge", "RequestEntityTooLarge", problem.to_string())
            }
            BodyProblem::NoRoom => come_again("Too many requests are on their way in. Try again in a moment."),
            BodyProblem::Broken(e) => Refusal::new(400, "RequestTimeout", "RequestTimeout", e.to_string()),
        }
    }
}

fn come_again(message: &str) -> Refusal {
    Refusal::new(503, "ServiceUnavailable", "ServiceUnavailable", message)
}
