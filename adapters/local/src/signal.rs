//! A flag that tasks can wait for. A wake is never missed: the flag stays up until somebody takes it down.

use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Signal {
    up: AtomicBool,
    raised: Notify,
}

impl Signal {
    pub(crate) fn set(&self, up: bool) {
        self.up.store(up, Ordering::Release);
        if up {
            self.raised.notify_waiters();
        }
    }

    /// Returns at once while the flag is up.
    pub(crate) async fn wait(&self) {
        loop {
            let raised = self.raised.notified();
            tokio::pin!(raised);
            // from here on a raise is noticed, so looking at the flag afterwards misses none
            raised.as_mut().enable();
            if self.up.load(Ordering::Acquire) {
                return;
            }
            raised.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_raised_flag_lets_everyone_through_until_it_is_taken_down() {
        let signal = std::sync::Arc::new(Signal::default());
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let signal = std::sync::Arc::clone(&signal);
                tokio::spawn(async move { signal.wait().await })
            })
            .collect();
        signal.set(true);
        for task in waiting {
            task.await.expect("a waiter");
        }
        signal.wait().await;
        signal.set(false);
        let again = std::time::Duration::from_millis(1);
        assert!(tokio::time::timeout(again, signal.wait()).await.is_err());
    }
}
