//! The live feed from a service's first event on: what scenarios wait by.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone)]
pub struct Feed {
    heard: Arc<(Mutex<Vec<Value>>, Condvar)>,
}

/// A feed that says nothing is not taken for granted: the state is looked at this often.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);

impl Feed {
    /// Listens on a thread of its own until the service ends.
    pub fn open(api: &str, token: &str) -> Feed {
        let feed = Feed { heard: Arc::default() };
        let (url, token, ear) = (format!("{api}/v1/events?after=0"), format!("Bearer {token}"), feed.clone());
        let agent = ureq::Agent::new_with_defaults();
        std::thread::spawn(move || {
            let Ok(response) = agent.get(url).header("authorization", token).call() else { return };
            let lines = BufReader::new(response.into_body().into_reader()).lines();
            for line in lines.map_while(Result::ok) {
                if let Some(Ok(event)) = line.strip_prefix("data:").map(serde_json::from_str) {
                    ear.hear(event);
                }
            }
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
