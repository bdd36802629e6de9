//! A notice as a message in a queue of this service: the document that a webhook gets, with its id beside it.
//!
//! A message is taken when it is on disk. One that is sent again, because its outcome was not stored, has the same id.

use filemill_core::cloud_event;
use filemill_core::message::{AttributeValue, MessageAttribute, MessageQueueName, NewMessage};
use filemill_core::notice::Notice;
use filemill_core::ports::{MessageError, MessageQueues, NotifyError, Parcel};

pub(super) async fn send(
    messages: &dyn MessageQueues,
    queue: &MessageQueueName,
    parcel: &Parcel,
) -> Result<(), NotifyError> {
    let batch = parcel.notices.iter().map(message).collect();
    match messages.send(queue, batch).await {
        Ok(_) => Ok(()),
        // another queue may come to be under the name
        Err(e @ MessageError::NotFound(_)) => Err(NotifyError::transient(e.to_string())),
        Err(MessageError::Invalid(why)) => Err(NotifyError::permanent(format!("the queue does not take it: {why}"))),
        Err(e) => {
            tracing::debug!(queue = %queue, error = ?e, "a notice is not in its queue yet");
            Err(NotifyError::transient(e.to_string()))
        }
    }
}

fn message(notice: &Notice) -> NewMessage {
    let text = |text: String| MessageAttribute { data_type: "String".to_owned(), value: AttributeValue::Text(text) };
    let attributes = [("event_id", notice.id.to_string()), ("event_type", notice.kind.to_string())];
    NewMessage {
        body: cloud_event::document(notice).to_string(),
        attributes: attributes.map(|(name, value)| (name.to_owned(), text(value))).into(),
        delay: None,
    }
}
