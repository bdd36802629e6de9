//! Looking after the store as a whole: a check-up, and a backup as a stream. Neither has a time limit: a store may be large.

use super::ApiState;
use super::auth::Caller;
use super::extract::{NoBody, NoParams, StrictQuery};
use super::problem::Problem;
use super::views::{CheckupView, ProblemView};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use bytes::Bytes;
use filemill_core::ports::Keeper;
use filemill_engine::CommandError;
use futures::stream;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Bytes that are gathered before they are sent, and how many such pieces wait for a slow client.
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_MAX: usize = 8;

fn keeper(state: &ApiState) -> Result<Arc<dyn Keeper>, Problem> {
    state.keeper.clone().ok_or_else(|| {
        let detail = "the stores of this service are looked after by their own means";
        Problem::new(StatusCode::NOT_IMPLEMENTED, "no_keeper", detail)
    })
}

/// Look for contradictions: rows against rows, rows against files, and what should long be over
#[utoipa::path(
    get, path = "/v1/checkup", tag = "operation", security(("token" = ["monitor"])),
    responses(
        (status = 200, description = "What was found; nothing, if all is well", body = CheckupView),
        (status = 409, description = "Another check-up runs", body = ProblemView),
        (status = 501, description = "This service's stores have no check-up", body = ProblemView),
    ),
)]
pub async fn check_up(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
) -> Result<Json<CheckupView>, Problem> {
    let keeper = keeper(&state)?;
    let turn =
        state.checkups.clone().try_acquire_owned().map_err(|_| {
            Problem::new(StatusCode::CONFLICT, "checkup_runs", "another check-up runs; wait for its end")
        })?;
    // in a task of its own: whoever gives up waiting does not give the turn away while the store is still looking
    let looked = tokio::spawn(async move {
        let _turn = turn;
        keeper.check_up().await
    });
    let checkup = looked.await.map_err(|e| CommandError::Internal(Box::new(e)))?.map_err(CommandError::from)?;
    Ok(Json(checkup.into()))
}

/// Back up everything but the credentials
///
/// A tar of one consistent cut, made while the service works. Its last file, `manifest.json`, says that it is whole; if the
/// connection ends before, it is not. `filemill backup` writes and verifies it, `filemill restore` brings it back.
#[utoipa::path(
    post, path = "/v1/backup", tag = "operation", security(("token" = ["service"])),
    responses(
        (status = 200, description = "The backup", body = String, content_type = "application/x-tar"),
        (status = 409, description = "Another backup is being made", body = ProblemView),
        (status = 501, description = "This service's stores are backed up by their own means", body = ProblemView),
        (status = 507, description = "The storage is full: there is no room for the cut", body = ProblemView),
    ),
)]
pub async fn back_up(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<impl IntoResponse, Problem> {
    let keeper = keeper(&state)?;
    let turn = state.backups.clone().try_acquire_owned().map_err(|_| {
        Problem::new(StatusCode::CONFLICT, "backup_runs", "another backup is being made; wait for its end")
    })?;
    // the cut is copied into the store's own folder first
    if state.readiness.of(&state.engine).await.is_some_and(|room| room.is_low()) {
        return Err(Problem::storage_full());
    }
    state.engine.note(&who, None, "backup.make", "store", serde_json::Value::Null).await?;
    let (pieces, received) = mpsc::channel(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut out = BufWriter::with_capacity(PIECE_BYTES, Pieces(pieces.clone()));
        match keeper.back_up(&mut out) {
            Ok(done) => {
                tracing::info!(files = done.files, bytes = done.bytes, damaged = done.damaged.len(), "backup made")
            }
            Err(e) => {
                let cause = std::error::Error::source(&e).map(tracing::field::display);
                tracing::error!(error = %e, cause, "the backup was broken off");
                // the client sees its connection end in an error, and no manifest
                let _gone = pieces.blocking_send(Err(io::Error::other("the backup was broken off")));
            }
        }
    });
    let body = stream::unfold(received, |mut received| async { Some((received.recv().await?, received)) });
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], Body::from_stream(body)))
}

struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
