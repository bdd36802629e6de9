//! One job in ten is poison: it fails, hangs, dies by a signal or eats memory, and is tried again and again meanwhile. What
//! that costs the good ones, beside the same service with good jobs only.
//!
//! Jobs come at a fixed pace. A good one counts from the first byte of its PUT until the live feed tells that it is
//! completed. Good ones are of two kinds: a line prefix, and a command like the poison itself. Poison waits in a queue of its own
//! that runs one at a time, as an operator would have it who knows of it, and then in the queue of the good ones, as it is
//! before anybody knows. A queue's own `retry` is the default: five attempts, a second to a minute apart.

use super::feed::Feed;
use super::{Plan, block_on, note};
use crate::connection::Connection;
use crate::input;
use crate::report::{Row, Side, Target, percentile};
use crate::service::Service;
use crate::signing::Signer;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const GOOD: u64 = 1000;
const ONE_IN: u64 = 10;
/// Between two good jobs.
const PACE: Duration = Duration::from_millis(20);
const WAYS: [&str; 4] = ["fail", "hang", "die", "hog"];

const CONFIG: &str = r#"
schema = 1
[processors.upper]
exec = { argv = ["/usr/bin/tr", "a-z", "A-Z"] }
[processors.poison]
exec = { argv = ["/bin/sh", "-c", "read way; case $way in fail) exit 75;; hang) exec sleep 600;; die) kill -9 $$;; hog) exec tail /dev/zero;; esac"], timeout = "1s", memory = "64MiB" }
[[rules]]
id = "prefix"
from = "uploads"
match = { key = [{ prefix = "prefix/" }] }
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "results", key = "{key}" }
[[rules]]
id = "upper"
from = "uploads"
match = { key = [{ prefix = "upper/" }] }
process = { kind = "upper" }
output = { bucket = "results", key = "{key}" }
[[rules]]
id = "poison"
from = "uploads"
match = { key = [{ prefix = "poison/" }] }
process = { kind = "poison" }
output = { bucket = "results", key = "{key}" }
"#;

/// Goes on where [`CONFIG`] ends: with the rule of the poison.
const OWN_QUEUE: &str = r#"
queue = "risky"
[queues.risky]
max_running = 1
"#;

/// One a second: with fewer, nothing of note would have been beside the good ones.
const ATTEMPTS_MIN: u64 = GOOD * PACE.as_millis() as u64 / 1000;

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (queue, config) in
        [("a queue of its own", format!("{CONFIG}{OWN_QUEUE}")), ("the same queue", CONFIG.to_owned())]
    {
        for kind in ["prefix", "upper"] {
            rows.push(beside(plan, kind, queue, &config)?);
        }
    }
    Ok(rows)
}

fn beside(plan: &Plan<'_>, kind: &str, queue: &str, config: &str) -> Result<Row> {
    note(&format!("poison: one job in {ONE_IN} beside {kind}, in {queue}"));
    let (mut poisoned, mut clean, mut attempts) = (Side::default(), Side::default(), Vec::new());
    let mut run = |round: u32, is_poisoned: bool, side: &mut Side| {
        // what was poisoned is tried again for minutes, so each run has a service of its own
        let name = format!("poison-{}-{kind}-{round}-{is_poisoned}", queue.replace(' ', "-"));
        let service = Service::start_with(plan.workplace, &name, config)?;
        let taken = block_on(good_jobs(&service, kind, is_poisoned))?;
        if is_poisoned {
            attempts.push(block_on(attempts_of_poison(&service))?);
        }
        side.add(percentile(&taken, 99.0), service.process().cpu()?, service.process().peak_memory()?);
        service.stop()
    };
    for round in 0..plan.rounds {
        for is_poisoned in [round % 2 == 0, round % 2 != 0] {
            plan.workplace.settle();
            run(round, is_poisoned, if is_poisoned { &mut poisoned } else { &mut clean })?;
        }
    }
    let fewest = attempts.into_iter().min().unwrap_or_default();
    ensure!(fewest >= ATTEMPTS_MIN, "poison was tried {fewest} times only, so this shows nothing");
    Ok(Row {
        job: format!(
            "{GOOD} good jobs ({kind}), one in {ONE_IN} is poison in {queue} (tried {fewest} times or more): p99"
        ),
        unit: "ms",
        ours: poisoned,
        peer: Some(("without poison", clean)),
        target: Target::RatioAtMost(1.5),
    })
}

/// Until now, of all of it.
async fn attempts_of_poison(service: &Service) -> Result<u64> {
    let request = format!(
        "GET /v1/jobs?rule=poison&limit=1000 HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\r\n",
        service.api, service.token
    );
    let answer = Connection::open(service.api).await?.ask(request.as_bytes()).await?.expect(200)?;
    let jobs: Value = serde_json::from_slice(&answer.body)?;
    let jobs = jobs["items"].as_array().context("a list without items")?;
    Ok(jobs.iter().filter_map(|job| job["attempts"].as_u64()).sum())
}

/// Milliseconds of each good job.
async fn good_jobs(service: &Service, kind: &str, is_poisoned: bool) -> Result<Vec<f64>> {
    let begun = Instant::now();
    let mut feed = Feed::open(service).await?;
    let key = |n: u64| format!("{kind}/{n}");
    let listening = async {
        let mut ended_at = HashMap::new();
        while ended_at.len() < GOOD as usize {
            let ended = feed.ended().await?;
            if ended.key.starts_with(kind) {
                ensure!(ended.is_completed, "a good job failed: that of {}", ended.key);
                ended_at.insert(ended.key, begun.elapsed());
            }
        }
        anyhow::Ok(ended_at)
    };
    let uploading = async {
        let (signer, mut connection) = (Signer::new(service, "uploads")?, Connection::open(service.s3).await?);
        let mut put = async |key: &str, body: Vec<u8>| {
            let mut request = signer.put(key, body.len() as u64);
            request.extend_from_slice(&body);
            let asked = begun.elapsed();
            connection.ask(&request).await?.expect(200)?;
            anyhow::Ok(asked)
        };
        let mut pace = tokio::time::interval(PACE);
        let mut asked_at = Vec::new();
        for n in 0..GOOD {
            pace.tick().await;
            if is_poisoned && n % (ONE_IN - 1) == 0 {
                let way = WAYS[(n / (ONE_IN - 1)) as usize % WAYS.len()];
                put(&format!("poison/{n}"), format!("{way}\n").into_bytes()).await?;
            }
            asked_at.push(put(&key(n), input::small(n)).await?);
        }
        anyhow::Ok(asked_at)
    };
    let (ended_at, asked_at) = futures::try_join!(listening, uploading)?;
    let taken = asked_at.iter().enumerate().map(|(n, asked)| ended_at[&key(n as u64)].saturating_sub(*asked));
    Ok(taken.map(|taken| taken.as_secs_f64() * 1000.0).collect())
}
