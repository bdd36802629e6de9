//! What an answer means, in words, and whether another attempt can help.

use filemill_core::ports::ProcessError;
use filemill_core::task::{THROTTLED, TaskError};
use filemill_outbound::{OutboundError, Response};

/// Of a header, what the uploader sees.
const HEADER_CHARS_MAX: usize = 200;

pub fn failed(name: &str, error: OutboundError) -> ProcessError {
    let error = match error {
        OutboundError::Body(e) => return ProcessError::Io(e),
        OutboundError::Refused(refused) => {
            // where the name leads is the operator's affair, not the uploader's
            tracing::warn!(processor = name, why = %refused, "a request to a service was refused");
            let message = format!("the service of {name} may not be reached from here; its operator can allow it");
            TaskError::permanent("http_refused", message)
        }
        OutboundError::Unavailable(why) => {
            TaskError::transient("http_unavailable", format!("the service of {name} could not be asked: {why}"))
        }
        OutboundError::Incomplete(why) => {
            TaskError::transient("http_incomplete", format!("the service of {name} did not answer in full: {why}"))
        }
        OutboundError::TooLarge(bytes) => {
            let message = format!("the service of {name} answered with more than {bytes} bytes");
            TaskError::permanent("http_output_too_large", message)
        }
    };
    ProcessError::Failed(error)
}

/// A result is 200, 201 or 204. 202 promises one for later and 206 is a part of one.
pub fn check_status(name: &str, response: &Response) -> Result<(), ProcessError> {
    let status = response.status;
    let message = format!("the service of {name} answered with status {status}");
    let error = match status {
        200 | 201 | 204 => return Ok(()),
        408 | 425 | 429 | 500.. => {
            let code = if status == 429 { THROTTLED } else { "http_unavailable" };
            let error = TaskError::transient(code, message);
            match &response.retry_after {
                Some(when) => error.with_detail(format!("retry-after: {}", printable(when.as_bytes()))),
                None => error,
            }
        }
        400..500 => {
            let error = TaskError::permanent("http_refused", message);
            // not its text: whoever uploads is not who may read what the service says
            match &response.content_type {
                Some(content_type) => {
                    error.with_detail(format!("content-type: {}", printable(content_type.as_bytes())))
                }
                None => error,
            }
        }
        _ => TaskError::permanent("http_refused", format!("{message}, which is no result and is not followed")),
    };
    Err(ProcessError::Failed(error))
}

/// On one line, without anything that a terminal would obey.
fn printable(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let shown = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !c.is_control());
    shown.take(HEADER_CHARS_MAX).collect::<String>().trim().to_owned()
}
