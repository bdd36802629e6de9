//! A notice as a CloudEvents 1.0 document: what webhooks and messages hold.

use crate::notice::Notice;
use serde_json::{Value, json};

pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";

/// The same bytes for the same notice in every try, but for links that were made for this one.
pub fn document(notice: &Notice) -> Value {
    json!({
        "specversion": "1.0",
        "id": notice.id,
        "source": "filemill",
        "type": notice.kind,
        "time": notice.at,
        "subject": notice.about,
        "datacontenttype": "application/json",
        "data": notice.data,
    })
}
