//! Presigned links, as far as a store without its door can be asked. `tests/e2e` uses them with real clients.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::limits::PRESIGN_MAX;
use filemill_core::ports::{PresignAction, PresignRequest};
use std::time::Duration;

fn actions() -> Vec<(PresignAction, &'static str)> {
    vec![
        (PresignAction::Get { file_name: Some("ä b.txt".into()) }, "GET"),
        (PresignAction::Get { file_name: None }, "GET"),
        (PresignAction::Put { content_type: Some("text/plain".into()), content_length: Some(5), once: true }, "PUT"),
        (PresignAction::Post { content_type: None, size: None, size_max: 1000 }, "POST"),
        (PresignAction::Part { upload: "u".into(), number: 3, content_length: 5 }, "PUT"),
        (PresignAction::Complete { upload: "u".into(), size: 5 }, "POST"),
        (PresignAction::Abort { upload: "u".into() }, "DELETE"),
    ]
}

/// B6: the key travels in the link, escaped.
pub async fn a_link_names_its_method_and_its_end(backend: Backend) {
    for (action, method) in actions() {
        let ttl = Duration::from_secs(900);
        let request = PresignRequest { bucket: bucket(), key: key("a/ü ?&#%x"), action, by: None, ttl };
        let link = backend.blobs.presign(&request, time()).expect("presign");
        assert_eq!(link.method, method);
        assert!(link.url.starts_with("http") && link.url.is_ascii() && !link.url.contains([' ', '#']), "{}", link.url);
        assert_eq!(link.expires_at, time().plus(ttl));
        assert!(!format!("{link:?}").contains(&link.url), "a link's debug form would reach a log");
    }
}

/// B6, and S3's limit of seven days.
pub async fn a_link_lives_seven_days_at_most(backend: Backend) {
    for (action, _) in actions() {
        let ttl = PRESIGN_MAX + Duration::from_secs(1);
        let request = PresignRequest { bucket: bucket(), key: key("a"), action, by: None, ttl };
        if let Ok(link) = backend.blobs.presign(&request, time()) {
            assert!(link.expires_at <= time().plus(PRESIGN_MAX), "{link:?}");
        }
    }
}
