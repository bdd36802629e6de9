//! One-use tickets for the live feed: browsers cannot send an `Authorization` header with a WebSocket or an event
//! source, and a token must not stand in a URL.
//!
//! A ticket says who asked for it. Tickets live in memory, for [`TICKET_TTL`](limits::TICKET_TTL) whatever becomes of the wall
//! clock, and are forgotten when used.

use super::ApiState;
use super::auth::Caller;
use super::chance::unguessable;
use super::extract::{NoBody, NoParams, StrictQuery};
use super::problem::Problem;
use super::views::{ProblemView, TicketView};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filemill_core::access::Principal;
use filemill_core::ids::KeyId;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// The tickets that are out, by digest: a lookup's timing says nothing about a ticket's text.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<[u8; 32], Issued>>);

struct Issued {
    to: Principal,
    ends: Instant,
}

impl Tickets {
    fn issue(&self, to: Principal, now: Timestamp) -> Result<TicketView, Problem> {
        let ticket = URL_SAFE_NO_PAD.encode(unguessable()?);
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.retain(|_, issued| issued.is_good());
        if out.len() >= limits::TICKETS_MAX {
            make_room(&mut out, &to)?;
        }
        out.insert(digest(&ticket), Issued { to, ends: Instant::now() + limits::TICKET_TTL });
        Ok(TicketView { ticket, expires_at: now.plus(limits::TICKET_TTL) })
    }

    /// Uses a ticket up and says whom it was given to. `None` if it is unknown, used or too old.
    pub fn redeem(&self, ticket: &str) -> Option<Principal> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(ticket));
        taken.filter(Issued::is_good).map(|issued| issued.to)
    }
}

/// Whoever holds the most gives way, unless that is who asks.
fn make_room(out: &mut HashMap<[u8; 32], Issued>, asks: &Principal) -> Result<(), Problem> {
    let mut held: HashMap<&Option<KeyId>, usize> = HashMap::new();
    out.values().for_each(|issued| *held.entry(&issued.to.key).or_default() += 1);
    let of_asker = held.get(&asks.key).copied().unwrap_or(0);
    let (holder, most) = held.into_iter().max_by_key(|(_, count)| *count).unwrap_or((&None, 0));
    let oldest = out.iter().filter(|(_, issued)| issued.to.key == *holder).min_by_key(|(_, issued)| issued.ends);
    match oldest.map(|(digest, _)| *digest) {
        Some(oldest) if of_asker < most => {
            out.remove(&oldest);
            Ok(())
        }
        _ => Err(Problem::too_many("too_many_tickets", "too many tickets are waiting to be used")),
    }
}

impl Issued {
    fn is_good(&self) -> bool {
        Instant::now() < self.ends
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
    post, path = "/v1/tickets", tag = "live", security(("token" = ["read"])),
    responses(
        (status = 201, description = "The ticket", body = TicketView),
        (status = 429, description = "Too many unused tickets", body = ProblemView),
    ),
)]
pub async fn create_ticket(
    State(state): State<ApiState>,
    Caller(who): Caller,
    StrictQuery(NoParams {}): StrictQuery<NoParams>,
    NoBody: NoBody,
) -> Result<(StatusCode, Json<TicketView>), Problem> {
    state.tickets.issue(who, state.engine.now()).map(|ticket| (StatusCode::CREATED, Json(ticket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    const NOON: Timestamp = Timestamp::from_millis(1_000_000_000);

    fn issue(tickets: &Tickets, now: Timestamp) -> String {
        tickets.issue(Principal::service(), now).expect("ticket").ticket
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_works_once_and_not_for_long() {
        let tickets = Tickets::default();
        let ticket = issue(&tickets, NOON);
        assert!(tickets.redeem("another").is_none());
        assert_eq!(tickets.redeem(&ticket), Some(Principal::service()));
        assert!(tickets.redeem(&ticket).is_none());
        // the clock is set back before the second one; neither lives longer or shorter for that
        let (early, late) = (issue(&tickets, NOON), issue(&tickets, NOON.minus(Duration::from_secs(3600))));
        advance(limits::TICKET_TTL - Duration::from_millis(1)).await;
        assert!(tickets.redeem(&early).is_some());
        advance(Duration::from_millis(1)).await;
        assert!(tickets.redeem(&late).is_none());
        assert!(limits::TICKET_TTL <= Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn who_collects_tickets_takes_them_from_nobody() {
        let tickets = Tickets::default();
        let collector = by_key(1);
        let issue_to = |who: &Principal| tickets.issue(who.clone(), NOON).map(|view| view.ticket);
        let first = issue_to(&collector).unwrap_or_else(|_| panic!("a ticket"));
        advance(Duration::from_millis(1)).await;
        for _ in 1..limits::TICKETS_MAX {
            assert!(issue_to(&collector).is_ok());
        }
        assert!(issue_to(&collector).is_err());
        for other in [by_key(2), Principal::service()] {
            let ticket = issue_to(&other).unwrap_or_else(|_| panic!("a ticket"));
            assert_eq!(tickets.redeem(&ticket), Some(other));
        }
        assert_eq!(tickets.redeem(&first), None, "the oldest gave way");
    }

    fn by_key(n: u8) -> Principal {
        let mut who = Principal::service();
        who.actor.key = Some(KeyId::new(NOON, [n; 10]));
        who
    }

    #[tokio::test(start_paused = true)]
    async fn unused_tickets_are_bounded_and_forgotten() {
        let tickets = Tickets::default();
        for _ in 0..limits::TICKETS_MAX {
            issue(&tickets, NOON);
        }
        assert!(tickets.issue(Principal::service(), NOON).is_err());
        advance(limits::TICKET_TTL).await;
        assert!(tickets.issue(Principal::service(), NOON).is_ok());
    }
}
