//! One webhook: a signed POST, and what its answer means.
//!
//! 2xx is taken. 410 is gone for good; so is whatever the guard refuses and any redirect, because nobody follows it. All else
//! may be better another time. The answer's words are thrown away.

use crate::signature::Keys;
use filemill_core::cloud_event::{self, CONTENT_TYPE};
use filemill_core::ports::{NotifyError, Parcel};
use filemill_core::time::Timestamp;
use filemill_outbound::{Outbound, OutboundError, Request, Verdict};
use std::time::Duration;

pub fn send(outbound: &Outbound, url: &str, keys: &Keys, parcel: &Parcel) -> Result<(), NotifyError> {
    let notice = parcel.notices.first().ok_or_else(|| NotifyError::permanent("there was nothing to send"))?;
    let body = cloud_event::document(notice).to_string();
    let (id, timestamp) = (notice.id.to_string(), parcel.at.as_secs());
    let headers = [
        ("content-type", CONTENT_TYPE.to_owned()),
        ("webhook-signature", keys.sign(&id, timestamp, body.as_bytes())),
        ("webhook-id", id),
        ("webhook-timestamp", timestamp.to_string()),
        ("idempotency-key", parcel.idempotency_key.clone()),
    ];
    let headers = headers.map(|(name, value)| (name.to_owned(), value));
    let mut bytes = body.as_bytes();
    let request = Request { url, headers: &headers, body: &mut bytes, body_bytes: Some(body.len() as u64) };
    judge(&outbound.tell(request).map_err(failed)?, parcel.at)
}

fn judge(verdict: &Verdict, now: Timestamp) -> Result<(), NotifyError> {
    let status = verdict.status;
    match status {
        200..300 => Ok(()),
        410 => Err(NotifyError::permanent("status 410: the receiver is gone for good")),
        300..400 => Err(NotifyError::permanent(format!("status {status}: redirects are not followed"))),
        400..500 if !matches!(status, 408 | 425 | 429) => {
            Err(NotifyError::NotTaken { message: format!("status {status}") })
        }
        _ => {
            let retry_after = matches!(status, 429 | 503).then_some(verdict.retry_after.as_deref()).flatten();
            let retry_after = retry_after.and_then(|text| wait(text, now));
            Err(NotifyError::Transient { message: format!("status {status}"), retry_after })
        }
    }
}

/// Seconds, or a date.
fn wait(retry_after: &str, now: Timestamp) -> Option<Duration> {
    let text = retry_after.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(Timestamp::from_millis(at.timestamp().as_millisecond()).since(now))
}

fn failed(error: OutboundError) -> NotifyError {
    match error {
        OutboundError::Refused(refused) => NotifyError::permanent(refused.to_string()),
        other => NotifyError::transient(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn judged(status: u16, retry_after: Option<&str>) -> Result<(), NotifyError> {
        judge(&Verdict { status, retry_after: retry_after.map(str::to_owned) }, NOW)
    }

    #[test]
    fn an_answer_is_taken_refused_for_good_or_worth_another_try() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status, None), Ok(()));
        }
        for status in [301, 302, 307, 308, 410] {
            assert!(matches!(judged(status, None), Err(NotifyError::Permanent { .. })), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503] {
            assert!(matches!(judged(status, None), Err(NotifyError::Transient { .. })), "{status}");
        }
        for status in [400, 401, 404, 422] {
            assert!(matches!(judged(status, None), Err(NotifyError::NotTaken { .. })), "{status}: it is there");
        }
    }

    #[test]
    fn a_wish_for_time_is_read_in_both_forms() {
        let wait = |status, text| match judged(status, Some(text)) {
            Err(NotifyError::Transient { retry_after, .. }) => retry_after.map(|wait| wait.as_secs()),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(429, "120"), Some(120));
        assert_eq!(wait(503, "Tue, 14 Nov 2023 22:14:20 GMT"), Some(60));
        assert_eq!(wait(503, "Tue, 14 Nov 2023 22:00:00 GMT"), Some(0));
        assert_eq!((wait(429, "soon"), wait(500, "120")), (None, None));
    }
}
