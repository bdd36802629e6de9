//! One-use tickets for the live feed: browsers cannot send an `Authorization` header with a WebSocket or an event
//! source, and the admin token must not stand in a URL.
//!
//! Tickets live in memory, for [`TICKET_TTL`](limits::TICKET_TTL), and are forgotten when used.

use super::ApiState;
use super::extract::{NoBody, NoParams, StrictQuery};
use super::problem::Problem;
use super::views::{ProblemView, TicketView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The tickets that are out, by digest: a lookup's timing says nothing about a ticket's text.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Timestamp>>);

impl Tickets {
    fn issue(&self, now: Timestamp) -> Result<TicketView, Problem> {
        let mut secret = [0; 32];
        OsRng.try_fill_bytes(&mut secret).map_err(|e| {
            tracing::error!(error = %e, "the system gives no random bytes");
            Problem::internal()
        })?;
        let ticket = URL_SAFE_NO_PAD.encode(secret);
        let expires_at = now.plus(limits::TICKET_TTL);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, expires_at| *expires_at > now);
        if out.len() >= limits::TICKETS_MAX {
            return Err(Problem::too_many("too_many_tickets", "too many tickets are waiting to be used"));
        }
        out.insert(digest(&ticket), expires_at);
        Ok(TicketView { ticket, expires_at })
    }

    /// Uses a ticket up. False if it is unknown, used or too old.
    pub fn redeem(&self, ticket: &str, now: Timestamp) -> bool {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(ticket));
        taken.is_some_and(|expires_at| expires_at > now)
    }
}

fn digest(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket.as_bytes()).into()
}

/// Get a ticket for the live feed
///
/// For browsers, which cannot send the token with a WebSocket or an event source: open `/v1/live` or `/v1/events` with
/// `?ticket=` within 30 seconds. A ticket works once.
#[utoipa::path(
    post, path = "/v1/tickets", tag = "live",
    responses(
        (status = 201, description = "The ticket", body = TicketView),
        (status = 429, description = "Too many unused tickets", body = ProblemView),
    ),
)]
pub async fn create_ticket(
    State(state): State<ApiState>,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<(StatusCode, Json<TicketView>), Problem> {
    state.tickets.issue(state.engine.now()).map(|ticket| (StatusCode::CREATED, Json(ticket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_ticket_works_once_and_not_for_long() {
        let now = Timestamp::from_millis(1_000_000);
        let tickets = Tickets::default();
        let ticket = tickets.issue(now).expect("ticket").ticket;
        assert!(!tickets.redeem("another", now));
        assert!(tickets.redeem(&ticket, now));
        assert!(!tickets.redeem(&ticket, now));
        let late = tickets.issue(now).expect("ticket").ticket;
        assert!(!tickets.redeem(&late, now.plus(limits::TICKET_TTL + Duration::from_millis(1))));
    }

    #[test]
    fn unused_tickets_are_bounded_and_forgotten() {
        let now = Timestamp::from_millis(1_000_000);
        let tickets = Tickets::default();
        for _ in 0..limits::TICKETS_MAX {
            tickets.issue(now).expect("ticket");
        }
        assert!(tickets.issue(now).is_err());
        assert!(tickets.issue(now.plus(limits::TICKET_TTL)).is_ok());
    }
}
