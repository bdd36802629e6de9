//! The live feed from a service's first event on: what scenarios wait by.

use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::BodyReader;

#[derive(Clone)]
pub struct Feed {
    heard: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

/// A feed that says nothing is not taken for granted: the state is looked at this often.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// No scenario listens longer.
const LISTENING_MAX: Duration = Duration::from_secs(600);

impl Feed {
    /// Listens on a thread of its own until the service ends.
    pub fn open(api: &str, token: &str) -> Feed {
        let feed = Feed { heard: Arc::default() };
        let (api, token, ear) = (api.to_owned(), token.to_owned(), feed.clone());
        std::thread::spawn(move || {
            let Ok(frames) = Frames::after(&api, &token, 0, LISTENING_MAX) else { return };
            frames.for_each(|frame| ear.hear(frame.data));
        });
        feed
    }

    fn hear(&self, event: Value) {
        let (heard, bell) = &*self.heard;
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(event);
        bell.notify_all();
    }

    pub fn events(&self) -> Vec<Value> {
        self.heard.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks whenever something was heard, until there is an answer. Panics when patience ends.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        let (heard, bell) = &*self.heard;
        loop {
            let seen = heard.lock().unwrap_or_else(PoisonError::into_inner).len();
            if let Some(found) = look() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited {patience:?} in vain for {what}");
            let guard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let wait = bell.wait_timeout_while(guard, LOOK_ANYWAY, |events| events.len() == seen);
            drop(wait.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// One event as it comes over the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Stored events have one, progress has none.
    pub id: Option<u64>,
    pub kind: String,
    pub data: Value,
}

/// One connection to `/v1/events`, until it ends.
pub struct Frames {
    lines: Lines<BufReader<BodyReader<'static>>>,
}

impl Frames {
    /// Resumes behind this number, as a browser does that comes back. Ends after this time, if not before.
    pub fn after(api: &str, token: &str, last_id: u64, patience: Duration) -> Result<Frames, ureq::Error> {
        let request = ureq::get(format!("{api}/v1/events")).header("authorization", format!("Bearer {token}"));
        let request = request.header("last-event-id", last_id.to_string());
        let response = request.config().timeout_global(Some(patience)).build().call()?;
        Ok(Frames { lines: BufReader::new(response.into_body().into_reader()).lines() })
    }
}

impl Iterator for Frames {
    type Item = Frame;

    /// Frames without data (the start, signs of life) are left out.
    fn next(&mut self) -> Option<Frame> {
        let (mut id, mut kind, mut data) = (None, String::new(), None);
        loop {
            let line = self.lines.next()?.ok()?;
            match line.split_once(':').map(|(name, value)| (name, value.trim_start())) {
                Some(("id", value)) => id = value.parse().ok(),
                Some(("event", value)) => kind = value.to_owned(),
                Some(("data", value)) => data = serde_json::from_str(value).ok(),
                _ if !line.is_empty() => {}
                _ => match data.take() {
                    Some(data) => return Some(Frame { id, kind, data }),
                    None => (id, kind) = (None, String::new()),
                },
            }
        }
    }
}
