//! The operator: cancels and retries jobs at random, and notes that it tried.

use crate::scenario::STORM;
use crate::service::Service;
use filemill_core::access::Principal;
use filemill_core::job::Job;
use filemill_core::ports::JobQuery;
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use std::time::Duration;

pub async fn run(service: &Service, mut chance: SmallRng) {
    for _ in 0..service.scenario.operator_acts {
        let pause = chance.random_range(0..STORM.as_millis() as u64 / 4);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        service.call(act(service, &mut chance)).await;
    }
}

async fn act(service: &Service, chance: &mut SmallRng) {
    let Some(engine) = service.engine(chance.random_range(0..3)) else { return };
    let Ok(page) = engine.jobs(&Principal::service(), JobQuery { limit: 50, ..JobQuery::default() }).await else {
        return;
    };
    let is_retry = chance.random_bool(0.5);
    let fitting: Vec<&Job> = page.items.iter().filter(|j| j.status.is_terminal() == is_retry).collect();
    let Some(job) = fitting.choose(chance) else { return };
    let id = &job.id;
    let tries = {
        let mut ledger = service.ledger();
        let tries = if is_retry { &mut ledger.retries } else { &mut ledger.cancels };
        *tries.entry(id.clone()).or_default() += 1;
        tries[id]
    };
    service.store.note(&format!("operator: {} {id}, try {tries}", if is_retry { "retry" } else { "cancel" }));
    let somebody = Principal::service();
    // whatever the answer is, the ledger has the try
    let _answer = if is_retry { engine.retry_job(&somebody, id).await } else { engine.cancel_job(&somebody, id).await };
}
