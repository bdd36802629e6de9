//! Who waits for messages of which queue, and what wakes them.
//!
//! A message that can be received now wakes one waiter; one that becomes visible later tells all of them the time, if it is
//! earlier than what they know. Nobody is woken for a queue without waiters, and nothing is kept of it.

use filemill_core::message::MessageQueueName;
use filemill_core::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};

/// What a committed write means for waiters.
pub(crate) struct News {
    queue: MessageQueueName,
    what: What,
}

enum What {
    Visible,
    VisibleAt {
        at: Timestamp,
        now: Timestamp,
    },
    /// The queue was deleted: every waiter looks again.
    Gone,
}

impl News {
    pub(crate) fn visible_at(queue: &MessageQueueName, at: Timestamp, now: Timestamp) -> Self {
        let what = if at <= now { What::Visible } else { What::VisibleAt { at, now } };
        News { queue: queue.clone(), what }
    }

    pub(crate) fn gone(queue: &MessageQueueName) -> Self {
        News { queue: queue.clone(), what: What::Gone }
    }
}

#[derive(Default)]
pub(crate) struct MessageBells {
    by_queue: Mutex<HashMap<MessageQueueName, Arc<Bell>>>,
}

#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) visible: Notify,
    /// The next time at which a message becomes visible by itself.
    pub(crate) next: watch::Sender<Option<Timestamp>>,
}

/// A waiter's place; the bell goes with the last one.
pub(crate) struct Waiter<'a> {
    bells: &'a MessageBells,
    queue: MessageQueueName,
    pub(crate) bell: Arc<Bell>,
}

impl MessageBells {
    pub(crate) fn wait_for(&self, queue: &MessageQueueName) -> Waiter<'_> {
        let mut by_queue = self.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        let bell = Arc::clone(by_queue.entry(queue.clone()).or_default());
        Waiter { bells: self, queue: queue.clone(), bell }
    }

    pub(crate) fn ring(&self, news: &[News]) {
        if news.is_empty() {
            return;
        }
        let by_queue = self.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        for News { queue, what } in news {
            let Some(bell) = by_queue.get(queue) else { continue };
            match what {
                What::Visible => bell.visible.notify_one(),
                What::VisibleAt { at, now } => drop(bell.next.send_if_modified(|next| {
                    let is_news = next.is_none_or(|known| known <= *now || *at < known);
                    if is_news {
                        *next = Some(*at);
                    }
                    is_news
                })),
                What::Gone => drop(bell.next.send_replace(None)),
            }
        }
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut by_queue = self.bells.by_queue.lock().unwrap_or_else(PoisonError::into_inner);
        // one in the map, one here
        if by_queue.get(&self.queue).is_some_and(|bell| Arc::strong_count(bell) == 2) {
            by_queue.remove(&self.queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_queue_without_waiters() {
        let bells = MessageBells::default();
        let queue = MessageQueueName::parse("q").expect("a name");
        let (first, second) = (bells.wait_for(&queue), bells.wait_for(&queue));
        drop(first);
        assert_eq!(bells.by_queue.lock().expect("a map").len(), 1);
        drop(second);
        assert!(bells.by_queue.lock().expect("a map").is_empty());
    }
}
