//! Who may pass: the admin token in `Authorization: Bearer`, or for the live feed a one-use ticket.
//!
//! Tokens are compared in constant time. Feeds, which browsers open across origins without asking, also check `Origin`.

use super::ApiState;
use super::problem::Problem;
use crate::serve::PeerAddress;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use filemill_core::audit::Actor;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

/// The name of who holds the admin token.
const ADMIN: &str = "admin";

/// A token as its digest: never printed, never logged, and compared without telling its length.
pub struct Token([u8; 32]);

impl Token {
    pub fn new(secret: &str) -> Self {
        Token(Sha256::digest(secret.as_bytes()).into())
    }

    /// An empty text is no token, even where the configured one is empty.
    fn is(&self, given: &str) -> bool {
        let digest: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        !given.is_empty() && bool::from(self.0.ct_eq(&digest))
    }
}

/// Who asks, for commands that go into the audit log. Only behind [`require_token`].
pub struct Caller(pub Actor);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Actor>().cloned().map(Caller).ok_or_else(|| {
            tracing::error!("a route that needs to know its caller asks for no token");
            Problem::internal()
        })
    }
}

/// Lets requests with the admin token through.
pub async fn require_token(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check_token(&state, request.headers())?;
    let address = request.extensions().get::<PeerAddress>().map(|peer| peer.0);
    request.extensions_mut().insert(Actor { name: ADMIN.to_owned(), address });
    Ok(next.run(request).await)
}

/// Lets listeners with the token or a ticket through, if their origin may listen.
pub async fn require_listener(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check_origin(&state, request.headers())?;
    match ticket_of(request.uri().query().unwrap_or_default()) {
        Some(ticket) if state.tickets.redeem(&ticket, state.engine.now()) => {}
        Some(_) => return Err(Problem::unauthorized("the ticket is unknown, used or too old; get a new one")),
        None => check_token(&state, request.headers())?,
    }
    Ok(next.run(request).await)
}

fn check_token(state: &ApiState, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::unauthorized("send the admin token as authorization: Bearer TOKEN"));
    };
    let given = given.to_str().unwrap_or_default();
    let bearer = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    match bearer {
        Some((_, token)) if state.admin_token.is(token.trim()) => Ok(()),
        Some(_) => Err(Problem::unauthorized("the token is not valid")),
        None => Err(Problem::unauthorized("the authorization must be a bearer token")),
    }
}

fn ticket_of(query: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket").map(|(_, ticket)| ticket.into_owned())
}

/// Absent (not a browser), the same host, or a configured one.
fn check_origin(state: &ApiState, headers: &HeaderMap) -> Result<(), Problem> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let origin_host = origin.split_once("://").map(|(_, host)| host);
    let same_host = origin_host.is_some() && origin_host == host;
    if same_host || state.allowed_origins.iter().any(|allowed| allowed == origin) {
        return Ok(());
    }
    let detail = "pages of this origin may not listen; add it to the allowed origins";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin_not_allowed", detail))
}
