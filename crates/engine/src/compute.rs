//! Where blocking work runs: never on the async threads of a service.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compute {
    /// On the runtime's blocking threads.
    Threads,
    /// Right here, for simulations whose order must repeat.
    Inline,
}

/// The work panicked: a bug, reported as a failed attempt and never taken down with the process.
#[derive(Debug, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(pub String);

impl Compute {
    pub async fn run<T, F>(&self, work: F) -> Result<T, Panicked>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let caught = move || catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Panicked(text_of(panic.as_ref())));
        match self {
            Compute::Inline => caught(),
            Compute::Threads => match tokio::task::spawn_blocking(caught).await {
                Ok(result) => result,
                Err(_) => Err(Panicked("the runtime is shutting down".into())),
            },
        }
    }
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message").to_owned()
}
