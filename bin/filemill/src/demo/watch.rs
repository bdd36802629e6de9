//! The demo's ear: one listener of the live feed that turns events into news about files.

use crate::client::Client;
use crate::client::events::{Event, Heard};
use crate::client::views::{Job, Listed};
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// As many rules as one object starts.
const JOBS_OF_A_FILE_MAX: u64 = 32;

/// Which upload belongs to which file.
#[derive(Default)]
pub struct Uploads {
    by_id: Mutex<BTreeMap<String, usize>>,
    all_ended: AtomicBool,
}

impl Uploads {
    pub fn register(&self, upload: &str, index: usize) {
        self.all().insert(upload.to_owned(), index);
    }

    /// From here on a feed that ends is no loss.
    pub fn set_all_ended(&self) {
        self.all_ended.store(true, Ordering::Relaxed);
    }

    fn all_ended(&self) -> bool {
        self.all_ended.load(Ordering::Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, upload: Option<&str>) -> Option<usize> {
        self.all().get(upload?).copied()
    }
}

pub enum News {
    /// From here on nothing goes unheard.
    Listening,
    Progress {
        index: usize,
        read: u64,
    },
    Ended {
        index: usize,
        job: String,
    },
    Broken(anyhow::Error),
}

/// Listens on a thread of its own until nobody wants news any more.
pub fn listen(client: Arc<Client>, uploads: Arc<Uploads>, news: Sender<News>) {
    std::thread::spawn(move || {
        if let Err(e) = tell_all(&client, &uploads, &news) {
            let _nobody_waits = news.send(News::Broken(e));
        }
    });
}

fn tell_all(client: &Client, uploads: &Uploads, news: &Sender<News>) -> Result<()> {
    let mut events = client.events(&[])?;
    let mut wanted = news.send(News::Listening).is_ok();
    while wanted {
        wanted = match events.next() {
            Heard::Event(event) => tell(&event, uploads, news),
            Heard::Lost if uploads.all_ended() => false,
            Heard::Lost => {
                events.reconnect()?;
                tell_what_was_missed(client, uploads, news)?
            }
        };
    }
    Ok(())
}

/// False when nobody listens to us.
fn tell(event: &Event, uploads: &Uploads, news: &Sender<News>) -> bool {
    let (Some(index), Some(job)) = (uploads.find(event.upload.as_deref()), &event.job) else { return true };
    let message = match event.kind.as_str() {
        "job.completed" | "job.failed" | "job.cancelled" => News::Ended { index, job: job.clone() },
        "job.progress" => News::Progress { index, read: event.data["bytes"]["in"].as_u64().unwrap_or(0) },
        _ => return true,
    };
    news.send(message).is_ok()
}

fn tell_what_was_missed(client: &Client, uploads: &Uploads, news: &Sender<News>) -> Result<bool> {
    let known: Vec<(String, usize)> = uploads.all().iter().map(|(id, index)| (id.clone(), *index)).collect();
    for (upload, index) in known {
        let jobs: Listed<Job> = client.list("/v1/jobs", &[("upload", &upload)], JOBS_OF_A_FILE_MAX)?;
        for job in jobs.views.iter().filter(|j| j.has_ended()) {
            if news.send(News::Ended { index, job: job.id.clone() }).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
