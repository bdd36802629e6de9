//! Cycles of messages by 64 clients: sent, received and acknowledged, durably, beside PostgreSQL and Redis.
//!
//! In this process our side is what a service with its queue inside has; through the door it signs and speaks HTTP.

use super::{Plan, block_on, note};
use crate::queues::{self, door, port, postgres, redis};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use anyhow::Result;

const CLIENTS: usize = 64;
const CYCLES: usize = 1000;
const BODY_BYTES: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Port,
    Door,
    Postgres,
    Redis,
}

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    let who: Vec<Who> =
        [Who::Port, Who::Door, Who::Postgres, Who::Redis].into_iter().filter(|w| is_there(plan, *w)).collect();
    let service = Service::start(plan.workplace, "queue")?;
    let mut sides = [Side::default(), Side::default(), Side::default(), Side::default()];
    for round in 0..plan.rounds {
        note(&format!("queue: round {}", round + 1));
        for turn in 0..who.len() {
            let who = who[(turn + round as usize) % who.len()];
            plan.workplace.settle();
            sides[who as usize].values.push(block_on(run(plan, &service, who, round))?);
        }
    }
    let [port, door, postgres, redis] = sides;
    let peers = [("PostgreSQL, SKIP LOCKED", postgres, 5.0), ("Redis streams, appendfsync always", redis, 1.0)];
    let peers = peers.into_iter().filter(|(_, side, _)| !side.values.is_empty());
    let mut rows = Vec::new();
    let job = |text: &str| format!("1 KB message, send + receive + delete, {CLIENTS} clients, {text}");
    for (name, side, least) in peers {
        let row = |job: String, ours: &Side, target| Row {
            job,
            unit: "/s",
            ours: ours.clone(),
            peer: Some((name, side.clone())),
            target,
        };
        rows.push(row(job("in process"), &port, Target::RatioAtLeast(least)));
        rows.push(row(job("through the door"), &door, Target::None));
    }
    if rows.is_empty() {
        let row = |text, ours| Row { job: job(text), unit: "/s", ours, peer: None, target: Target::None };
        rows = vec![row("in process", port), row("through the door", door)];
    }
    Ok(rows)
}

fn is_there(plan: &Plan<'_>, who: Who) -> bool {
    let (given, flag) = match who {
        Who::Port | Who::Door => return true,
        Who::Postgres => (plan.postgres.is_some(), "--postgres"),
        Who::Redis => (plan.redis.is_some(), "--redis"),
    };
    if !given {
        note(&format!("queue: {flag} is not given, its rows are left out"));
    }
    given
}

/// Cycles a second.
async fn run(plan: &Plan<'_>, service: &Service, who: Who, round: u32) -> Result<f64> {
    let body = "x".repeat(BODY_BYTES);
    let wall = match (who, plan.postgres, plan.redis) {
        (Who::Port, ..) => {
            let queue = port::Queue::open(&plan.workplace.folder(&format!("queue-port-{round}"))?).await?;
            let wall = queues::drive(queue.clients(CLIENTS), CYCLES, &body).await?;
            queue.expect_empty().await?;
            wall
        }
        (Who::Postgres, Some(url), _) => {
            postgres::prepare(url).await?;
            let wall = queues::drive(postgres::clients(url, CLIENTS).await?, CYCLES, &body).await?;
            postgres::expect_empty(url).await?;
            wall
        }
        (Who::Redis, _, Some(address)) => {
            redis::prepare(address).await?;
            let wall = queues::drive(redis::clients(address, CLIENTS).await?, CYCLES, &body).await?;
            redis::expect_empty(address).await?;
            wall
        }
        _ => {
            let mut clients: Vec<Box<dyn queues::Client>> = Vec::new();
            for _ in 0..CLIENTS {
                clients.push(Box::new(door::DoorClient::open(service).await?));
            }
            queues::drive(clients, CYCLES, &body).await?
        }
    };
    Ok((CLIENTS * CYCLES) as f64 / wall.as_secs_f64())
}
