//! `Idempotency-Key`: the same request sent twice changes things once and is answered twice with the same answer.
//!
//! Answers of successful requests are kept in the memory of this process: for a day, the newest 10,000 keys, at most
//! 16 MiB; beyond that, the oldest of whoever has the most is forgotten, so that nobody makes others' forgotten. They hold
//! signed links, so they are never logged nor written down; a restart forgets them.

use super::ApiState;
use super::extract::{body_bytes_max, read_body};
use super::problem::Problem;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use filemill_core::access::Principal;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tracing::Instrument;

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a request was: method, path and body.
type Fingerprint = [u8; 32];

/// The keys that were seen.
#[derive(Clone, Default)]
pub struct Replays(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    by_key: HashMap<String, Remembered>,
    /// Keys with an answer, oldest first. A day is the same for all, so this is also the order in which they end.
    answered: VecDeque<String>,
    /// What of them is each asker's.
    held: HashMap<String, Held>,
    bytes: usize,
}

#[derive(Default)]
struct Held {
    answers: usize,
    bytes: usize,
}

struct Remembered {
    fingerprint: Fingerprint,
    /// `None` while the first request runs.
    answer: Option<Answer>,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    location: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    body: Bytes,
    until: Timestamp,
}

/// Runs a request once per key; without the header it just runs.
pub async fn once_per_key(State(state): State<ApiState>, request: Request, next: Next) -> Result<Response, Problem> {
    let Some(key) = key_of(request.headers())? else { return Ok(next.run(request).await) };
    let key = format!("{}{ASKER_ENDS}{key}", asker(&request));
    let (parts, body) = request.into_parts();
    let body = read_body(body, body_bytes_max(parts.uri.path())).await?;
    let fingerprint = fingerprint(parts.method.as_str(), parts.uri.path(), &body);
    let now = state.engine.now();
    let turn = match state.replays.begin(&key, fingerprint, now)? {
        Begun::Answered(answer) => return Ok(answer.replay()),
        Begun::First(turn) => turn,
    };
    let request = Request::from_parts(parts, Body::from(body));
    // not tied to this connection: a client that gave up and asks again gets the answer of what it began
    let running = tokio::spawn(run_in_turn(turn, request, next, now).in_current_span());
    running.await.unwrap_or_else(|ended| match ended.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => Err(Problem::unavailable("stopping", "the service is stopping")),
    })
}

async fn run_in_turn(turn: Turn, request: Request, next: Next, now: Timestamp) -> Result<Response, Problem> {
    let response = next.run(request).await;
    if !response.status().is_success() {
        return Ok(response);
    }
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|_| Problem::internal())?;
    turn.finish(Answer {
        status: parts.status,
        location: parts.headers.get(header::LOCATION).cloned(),
        content_type: parts.headers.get(header::CONTENT_TYPE).cloned(),
        body: body.clone(),
        until: now.plus(limits::IDEMPOTENCY_TTL),
    });
    Ok(Response::from_parts(parts, Body::from(body)))
}

/// Between the id of the asker's key and the key of the request.
const ASKER_ENDS: char = ' ';

fn asker_of(key: &str) -> &str {
    key.split(ASKER_ENDS).next().unwrap_or_default()
}

/// Each asker has keys of their own: an answer is for nobody else.
fn asker(request: &Request) -> String {
    let key = request.extensions().get::<Principal>().and_then(|who| who.key.as_ref());
    key.map_or(String::new(), ToString::to_string)
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().unwrap_or_default();
    let fits = (1..=limits::IDEMPOTENCY_KEY_CHARS_MAX).contains(&key.len());
    if !fits || headers.get_all(IDEMPOTENCY_KEY).iter().count() > 1 {
        let detail = format!("idempotency-key is one text of 1 to {} characters", limits::IDEMPOTENCY_KEY_CHARS_MAX);
        return Err(Problem::bad_request("bad_idempotency_key", detail));
    }
    Ok(Some(key.to_owned()))
}

fn fingerprint(method: &str, path: &str, body: &[u8]) -> Fingerprint {
    let mut hash = Sha256::new();
    for part in [method.as_bytes(), path.as_bytes(), body] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

enum Begun {
    First(Turn),
    Answered(Answer),
}

impl Replays {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: &str, fingerprint: Fingerprint, now: Timestamp) -> Result<Begun, Problem> {
        let mut memory = self.memory();
        memory.forget_old(now);
        match memory.by_key.get(key) {
            Some(seen) if seen.fingerprint != fingerprint => {
                let detail = "this idempotency-key was used with another request";
                Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail))
            }
            Some(Remembered { answer: Some(answer), .. }) => Ok(Begun::Answered(answer.clone())),
            Some(_) => {
                let detail = "the first request with this idempotency-key is still running";
                Err(Problem::new(StatusCode::CONFLICT, "idempotency_in_progress", detail)
                    .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            None => {
                memory.by_key.insert(key.to_owned(), Remembered { fingerprint, answer: None });
                Ok(Begun::First(Turn { replays: self.clone(), key: key.to_owned() }))
            }
        }
    }
}

impl Memory {
    fn keep(&mut self, key: &str, answer: Answer) {
        if let Some(seen) = self.by_key.get_mut(key) {
            let held = self.held.entry(asker_of(key).to_owned()).or_default();
            held.answers += 1;
            held.bytes += answer.body.len();
            self.bytes += answer.body.len();
            seen.answer = Some(answer);
            self.answered.push_back(key.to_owned());
        }
        while self.bytes > limits::IDEMPOTENCY_BYTES_MAX {
            self.forget_one_of_most(|held| held.bytes);
        }
        while self.answered.len() > limits::IDEMPOTENCY_KEYS_MAX {
            self.forget_one_of_most(|held| held.answers);
        }
    }

    fn forget_old(&mut self, now: Timestamp) {
        while self.oldest().is_some_and(|answer| answer.until <= now) {
            self.forget_oldest();
        }
    }

    fn oldest(&self) -> Option<&Answer> {
        self.by_key.get(self.answered.front()?)?.answer.as_ref()
    }

    fn forget_oldest(&mut self) {
        self.forget(0);
    }

    /// The oldest of whoever has the most.
    fn forget_one_of_most(&mut self, what: fn(&Held) -> usize) {
        let most = self.held.iter().max_by_key(|(_, held)| what(held)).map(|(asker, _)| asker);
        let oldest = most.and_then(|most| self.answered.iter().position(|key| asker_of(key) == most));
        self.forget(oldest.unwrap_or(0));
    }

    fn forget(&mut self, nth: usize) {
        let Some(key) = self.answered.remove(nth) else { return };
        let forgotten = self.by_key.remove(&key).and_then(|seen| seen.answer);
        let bytes = forgotten.map_or(0, |answer| answer.body.len());
        self.bytes -= bytes;
        if let Some(held) = self.held.get_mut(asker_of(&key)) {
            held.answers -= 1;
            held.bytes -= bytes;
            if held.answers == 0 {
                self.held.remove(asker_of(&key));
            }
        }
    }
}

/// The right to be the one request of a key. Dropped without an answer (failed, timed out), the key is free again.
struct Turn {
    replays: Replays,
    key: String,
}

impl Turn {
    fn finish(self, answer: Answer) {
        self.replays.memory().keep(&self.key, answer);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut memory = self.replays.memory();
        if memory.by_key.get(&self.key).is_some_and(|seen| seen.answer.is_none()) {
            memory.by_key.remove(&self.key);
        }
    }
}

impl Answer {
    fn replay(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_TYPE);
        headers.extend(self.location.map(|value| (header::LOCATION, value)));
        headers.extend(self.content_type.map(|value| (header::CONTENT_TYPE, value)));
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(bytes: usize, until: i64) -> Answer {
        let body = Bytes::from(vec![b'x'; bytes]);
        let until = Timestamp::from_millis(until);
        Answer { status: StatusCode::OK, location: None, content_type: None, body, until }
    }

    fn first(replays: &Replays, key: &str, now: i64) -> Turn {
        match replays.begin(key, [1; 32], Timestamp::from_millis(now)).expect("a free key") {
            Begun::First(turn) => turn,
            Begun::Answered(_) => panic!("{key} was answered"),
        }
    }

    #[test]
    fn a_key_whose_request_failed_is_free_again() {
        let replays = Replays::default();
        let turn = first(&replays, "a", 0);
        assert!(replays.begin("a", [1; 32], Timestamp::ZERO).is_err(), "still running");
        drop(turn);
        first(&replays, "a", 0).finish(answer(1, 10));
        assert!(matches!(replays.begin("a", [1; 32], Timestamp::ZERO), Ok(Begun::Answered(_))));
        assert!(replays.begin("a", [2; 32], Timestamp::ZERO).is_err(), "another request");
    }

    #[test]
    fn keys_end_after_their_time() {
        let replays = Replays::default();
        first(&replays, "a", 0).finish(answer(1, 10));
        first(&replays, "a", 10).finish(answer(1, 20));
        assert_eq!(replays.memory().bytes, 1);
    }

    #[test]
    fn who_sends_many_keys_makes_nobody_elses_forgotten() {
        let replays = Replays::default();
        first(&replays, "one a", 0).finish(answer(1, 10));
        for n in 0..limits::IDEMPOTENCY_KEYS_MAX + 5 {
            first(&replays, &format!("two {n}"), 0).finish(answer(1, 10));
        }
        assert!(matches!(replays.begin("one a", [1; 32], Timestamp::ZERO), Ok(Begun::Answered(_))));
        assert!(matches!(replays.begin("two 5", [1; 32], Timestamp::ZERO), Ok(Begun::First(_))), "the oldest are");
        let memory = replays.memory();
        assert_eq!(memory.answered.len(), limits::IDEMPOTENCY_KEYS_MAX);
        assert_eq!(memory.held.values().map(|held| held.answers).sum::<usize>(), limits::IDEMPOTENCY_KEYS_MAX);
        drop(memory);
        first(&replays, "two large", 0).finish(answer(limits::IDEMPOTENCY_BYTES_MAX, 10));
        assert!(matches!(replays.begin("one a", [1; 32], Timestamp::ZERO), Ok(Begun::Answered(_))));
    }

    #[test]
    fn memory_is_bounded_by_keys_and_by_bytes() {
        let replays = Replays::default();
        for i in 0..limits::IDEMPOTENCY_KEYS_MAX + 5 {
            first(&replays, &format!("one {i}"), 0).finish(answer(1, 10));
        }
        assert_eq!(replays.memory().by_key.len(), limits::IDEMPOTENCY_KEYS_MAX);
        first(&replays, "one large", 0).finish(answer(limits::IDEMPOTENCY_BYTES_MAX, 10));
        assert_eq!(replays.memory().by_key.len(), 1);
        first(&replays, "one more", 0).finish(answer(1, 10));
        assert_eq!(replays.memory().bytes, 1);
    }
}
