//! The live feed as server-sent events. `id:` is the event's number, so `Last-Event-ID` resumes by itself; progress has
//! no id. The first frame carries the number where the feed starts and no data.

use super::{ListenParams, Subscription};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::extract::{StrictQuery, number_header};
use crate::api::problem::Problem;
use crate::api::views::{LiveEventView, ProblemView};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use filemill_core::event::LiveEvent;
use filemill_core::limits;
use futures::stream::{self, Stream, StreamExt};
use std::time::Duration;

/// A browser that lost its feed comes back after this.
const RETRY: Duration = Duration::from_secs(1);
/// Proxies that understand it hand events on at once.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// Listen by server-sent events
///
/// Each event's `event:` is its kind, `data:` its JSON, `id:` its number. Reconnect with `Last-Event-ID` (browsers do
/// so by themselves) or `?after=` to miss nothing. The newest 100,000 events are kept.
#[utoipa::path(
    get, path = "/v1/events", tag = "live", security(("token" = ["read"]), ("ticket" = ["read"])),
    params(
        ListenParams,
        ("Last-Event-ID" = Option<u64>, Header, description = "Resume behind this number; wins over `after`"),
    ),
    responses(
        (status = 200, description = "An endless stream of events", body = LiveEventView, content_type = "text/event-stream"),
        (status = 400, description = "A parameter is unknown or wrong", body = ProblemView),
        (status = 403, description = "Pages of this origin may not listen", body = ProblemView),
    ),
)]
pub async fn listen_by_events(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<ListenParams>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let after = number_header(&headers, "last-event-id")?.or(params.after);
    let subscription = Subscription::open(&state, &who, &params, after).await?;
    let start = Event::default().id(subscription.position().to_string()).retry(RETRY);
    let feed = stream::iter([Ok(start)]).chain(frames(subscription));
    Ok(([UNBUFFERED], Sse::new(feed).keep_alive(KeepAlive::new().interval(limits::FEED_KEEP_ALIVE))))
}

/// Ends when the service stops or the listener is too slow; the client comes back with the last id.
fn frames(subscription: Subscription) -> impl Stream<Item = Result<Event, axum::Error>> {
    stream::unfold(subscription, |mut subscription| async {
        let event = subscription.next().await.ok()?;
        Some((frame(&event), subscription))
    })
}

fn frame(event: &LiveEvent) -> Result<Event, axum::Error> {
    let frame = Event::default().event(event.event.kind.as_str()).json_data(event)?;
    Ok(match event.seq {
        Some(seq) => frame.id(seq.to_string()),
        None => frame,
    })
}
