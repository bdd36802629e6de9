//! Who may pass. Every request to a route of the API comes through [`admit`]: it learns from the route's own declaration
//! what the route needs, recognises who asks, and refuses by default.
//!
//! Tokens are compared by their digests, in constant time or by an index; a wrong one costs as much as an unknown one.
//! Feeds, which browsers open across origins without asking, take a one-use ticket instead and also check `Origin`.

use super::ApiState;
use super::health;
use super::problem::Problem;
use super::scopes::Need;
use crate::serve::PeerAddress;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use filemill_core::access::{Principal, Scope};
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

/// Who asks, for whatever the engine is to do for them. Only behind [`admit`].
pub struct Caller(pub Principal);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Principal>().cloned().map(Caller).ok_or_else(|| {
            tracing::error!("a route that needs to know its caller is declared open");
            Problem::internal()
        })
    }
}

/// Lets a request through to its route if whoever sent it may do what the route declares.
pub async fn admit(State(state): State<ApiState>, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let address = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
    // a crowd behind one address is no reason to take the service for dead
    if !health::PROBES.contains(&parts.uri.path()) {
        state.pace.admit_address(address)?;
    }
    match need_of(&state, &parts) {
        Some(Need::Nothing) => {}
        Some(Need::Scope { scope, by_ticket }) => {
            let recognised = recognise(&state, &parts, by_ticket).await;
            let mut principal = recognised.map_err(|problem| match problem.status() {
                StatusCode::UNAUTHORIZED => state.pace.admit_refusal(address).map_or_else(Problem::from, |()| problem),
                _ => problem,
            })?;
            state.pace.admit_key(&principal)?;
            principal.actor.address = address;
            if !principal.may(scope) {
                return Err(forbidden(&principal, scope));
            }
            parts.extensions.insert(principal);
        }
        None => {
            tracing::error!(method = %parts.method, "a route declares no scope, so nobody may use it");
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "nobody may use this route"));
        }
    }
    Ok(next.run(Request::from_parts(parts, body)).await)
}

fn need_of(state: &ApiState, parts: &Parts) -> Option<Need> {
    let path = parts.extensions.get::<MatchedPath>()?;
    state.needs.of(&parts.method, path.as_str())
}

fn forbidden(who: &Principal, scope: Scope) -> Problem {
    let (role, name) = (who.role.as_str(), scope.as_str());
    let why = match who.role.may(scope) {
        true => format!("it is for a part of the service only, and the route is about more (scope {name})"),
        false => format!("its role is {role}, and the route needs the scope {name}"),
    };
    let detail = format!("this key may not do this: {why}");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
}

async fn recognise(state: &ApiState, parts: &Parts, takes_tickets: bool) -> Result<Principal, Problem> {
    if !takes_tickets {
        return by_token(state, &parts.headers).await;
    }
    check_origin(state, &parts.headers)?;
    match ticket_of(parts.uri.query().unwrap_or_default()) {
        Some(ticket) => by_ticket(state, &ticket).await,
        None => by_token(state, &parts.headers).await,
    }
}

async fn by_ticket(state: &ApiState, ticket: &str) -> Result<Principal, Problem> {
    let wrong = || Problem::unauthorized("the ticket is unknown, used or too old; get a new one");
    let holder = state.tickets.redeem(ticket).ok_or_else(wrong)?;
    match &holder.key {
        None => Ok(holder),
        Some(key) => state.engine.principal_of_key(key).await?.ok_or_else(wrong),
    }
}

async fn by_token(state: &ApiState, headers: &HeaderMap) -> Result<Principal, Problem> {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return Err(Problem::unauthorized("send a token as authorization: Bearer TOKEN"));
    };
    let given = given.to_str().unwrap_or_default();
    let bearer = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some((_, token)) = bearer else {
        return Err(Problem::unauthorized("the authorization must be a bearer token"));
    };
    let token = token.trim();
    if state.admin_token.is(token) {
        return Ok(Principal::unlimited(Actor::named(ADMIN)));
    }
    let known = state.engine.principal_of_token(token).await?;
    known.ok_or_else(|| Problem::unauthorized("the token is not valid"))
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
