//! The live feed by WebSocket: one text frame of JSON per event. The close reason of a feed that we end says where to
//! resume. What clients send is only a sign of life.

use super::{Ending, ListenParams, Subscription};
use crate::api::ApiState;
use crate::api::auth::Caller;
use crate::api::extract::StrictQuery;
use crate::api::problem::Problem;
use crate::api::views::{LiveEventView, ProblemView};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use filemill_core::limits;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A client that was told goodbye gets this long to answer it.
const LAST_WORDS_MAX: Duration = Duration::from_secs(5);

/// Listen by WebSocket
///
/// One JSON text message per event. Resume with `?after=` and the last number seen; the reason of a close frame from
/// the service ends in `after=N`. The newest 100,000 events are kept.
#[utoipa::path(
    get, path = "/v1/live", tag = "live", security(("token" = ["read"]), ("ticket" = ["read"])),
    params(ListenParams),
    responses(
        (status = 101, description = "A WebSocket; each text message is an event", body = LiveEventView),
        (status = 400, description = "A parameter is unknown or wrong, or this is no WebSocket request", body = ProblemView),
        (status = 403, description = "Pages of this origin may not listen", body = ProblemView),
        (status = 426, description = "The connection cannot become a WebSocket", body = ProblemView),
    ),
)]
pub async fn listen_by_socket(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(params): StrictQuery<ListenParams>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade = upgrade.map_err(|rejection| no_socket(&rejection))?;
    let subscription = Subscription::open(&state, &who, &params, params.after).await?;
    let open = state.feeds.token();
    let upgrade = upgrade.max_message_size(limits::FEED_FRAME_BYTES_MAX).max_frame_size(limits::FEED_FRAME_BYTES_MAX);
    Ok(upgrade.on_upgrade(move |socket| async move {
        tell(socket, subscription).await;
        drop(open);
    }))
}

fn no_socket(rejection: &WebSocketUpgradeRejection) -> Problem {
    let detail = format!("this route speaks WebSocket (try /v1/events for plain HTTP): {}", rejection.body_text());
    let problem = Problem::new(rejection.status(), "websocket_expected", detail);
    match rejection.status() {
        StatusCode::UPGRADE_REQUIRED => problem.with_header(header::UPGRADE, HeaderValue::from_static("websocket")),
        _ => problem,
    }
}

/// Sends events until one side ends it. Whoever is silent or does not read for too long is dropped.
async fn tell(mut socket: WebSocket, mut subscription: Subscription) {
    let mut beat = tokio::time::interval(limits::FEED_KEEP_ALIVE);
    let mut heard = Instant::now();
    loop {
        let message = tokio::select! {
            event = subscription.next() => match event {
                Ok(event) => text(&*event),
                Err(ending) => return close(socket, &ending, subscription.position()).await,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
            },
            _ = beat.tick() => {
                if heard.elapsed() > limits::FEED_SILENCE_MAX {
                    return;
                }
                Message::Ping(Default::default())
            }
        };
        if !matches!(timeout(limits::FEED_SILENCE_MAX, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn text(event: &impl serde::Serialize) -> Message {
    let json = serde_json::to_string(event).expect("an event was JSON when it was stored");
    Message::Text(json.into())
}

async fn close(mut socket: WebSocket, ending: &Ending, position: u64) {
    let (code, why) = match ending {
        Ending::Locked => (close_code::POLICY, "the key opens nothing any more"),
        Ending::Stopping => (close_code::AWAY, "the service is stopping"),
        Ending::TooSlow => (close_code::AGAIN, "too slow"),
        Ending::StoreFailed => (close_code::AGAIN, "events cannot be read now"),
    };
    let reason = format!("{why}; resume with after={position}").into();
    let goodbye = socket.send(Message::Close(Some(CloseFrame { code, reason })));
    if matches!(timeout(limits::FEED_KEEP_ALIVE, goodbye).await, Ok(Ok(()))) {
        // what a client sent and nobody read would reset the connection, and the goodbye with it
        let hear_out = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _it_knows_now = timeout(LAST_WORDS_MAX, hear_out).await;
    }
}
