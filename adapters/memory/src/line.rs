//! What lies between one caller and the store: a test sees each of its calls go by, and can hold it on its way there or
//! back. So a worker can be slow, be paused, or die at a place that the test chooses.
//!
//! None of it is part of a port; the engine never sees it.

use crate::store::MemoryStore;
use async_trait::async_trait;
use filemill_core::object::ObjectKey;
use filemill_core::ports::{Change, ChangeSet, Lease};
use filemill_core::task::{FencingToken, TaskId};
use std::ops::Range;
use std::sync::Arc;

/// One caller's line. Bells (`ready`, `announced`) ring past it.
#[async_trait]
pub trait Line: Send + Sync {
    /// The call reaches the store when this returns.
    async fn there(&self, _call: &Call) {}
    /// The call was done or refused; its caller hears of it when this returns.
    async fn back(&self, _call: &Call, _is_done: bool) {}
}

#[derive(Clone, Debug)]
pub struct Call {
    /// Of the port's method.
    pub name: &'static str,
    pub about: About,
}

#[derive(Clone, Debug)]
pub enum About {
    /// Nothing that a test could want to know.
    Anything,
    /// An object is opened.
    Object { key: ObjectKey, range: Option<Range<u64>> },
    /// A part of what becomes the object of this key is put.
    Part { key: ObjectKey, number: u32 },
    /// It renews a lease or gives it back, or writes what was done under it.
    Lease(TaskId, FencingToken),
}

impl From<&'static str> for Call {
    fn from(name: &'static str) -> Self {
        Call { name, about: About::Anything }
    }
}

impl Call {
    pub(crate) fn commit(set: &ChangeSet) -> Self {
        let lease = set.changes.iter().find_map(|change| match change {
            Change::EndTask(id, token) => Some((id.clone(), *token)),
            Change::ReturnTask(task, token) => Some((task.id.clone(), *token)),
            _ => None,
        });
        let about = lease.map_or(About::Anything, |(task, token)| About::Lease(task, token));
        Call { name: "commit", about }
    }

    pub(crate) fn under(name: &'static str, lease: &Lease) -> Self {
        Call { name, about: About::Lease(lease.task.id.clone(), lease.token) }
    }
}

impl MemoryStore {
    /// The same store for one caller, whose calls go over a line of its own.
    pub fn over(&self, line: Arc<dyn Line>) -> MemoryStore {
        let mut store = self.clone();
        store.line = Some(line);
        store
    }
}
