//! The bell: a waiting worker hears of a ready task.

use crate::backend::Backend;
use crate::samples::*;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

/// Q8
pub async fn waiting_ends_at_once_if_a_task_is_ready(backend: Backend) {
    let job = job("a", 1);
    stored_job(&backend, &job, &[plan_task(&job)]).await;
    tokio::time::timeout(SOON, backend.queue.ready()).await.expect("one is ready");
}

/// Q8
pub async fn waiting_ends_when_a_task_is_made_ready(backend: Backend) {
    let job = job("a", 1);
    let waiting = async {
        while lease(&backend, 1).await.is_empty() {
            backend.queue.ready().await;
        }
    };
    let pushing = async {
        tokio::task::yield_now().await;
        stored_job(&backend, &job, &[plan_task(&job)]).await;
        backend.queue.push(&[plan_task(&job).id]).await.expect("push");
    };
    let both = async { futures::join!(waiting, pushing) };
    tokio::time::timeout(SOON, both).await.expect("the wait ends");
}
