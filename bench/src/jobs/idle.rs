//! The service without work: how soon it is ready, how much memory it holds, how much CPU it takes.

use super::{Plan, note};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use anyhow::Result;
use std::time::Duration;

const WATCHED: Duration = Duration::from_secs(10);

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("idle: ready, memory, CPU");
    let (mut ready, mut memory, mut cpu, mut wakeups) =
        (Side::default(), Side::default(), Side::default(), Side::default());
    for round in 0..plan.rounds {
        let service = Service::start(plan.workplace, &format!("idle-{round}"))?;
        let process = service.process();
        let (cpu_before, wakeups_before) = (process.cpu()?, process.wakeups()?);
        std::thread::sleep(WATCHED);
        let used = process.cpu()? - cpu_before;
        ready.values.push(service.ready_after.as_secs_f64());
        memory.values.push(process.memory()? as f64 / f64::from(1 << 20));
        cpu.values.push(used.as_secs_f64() / WATCHED.as_secs_f64() * 100.0);
        wakeups.values.push((process.wakeups()? - wakeups_before) as f64 / WATCHED.as_secs_f64());
        service.stop()?;
    }
    let row = |job: &str, unit, ours, target| Row { job: job.into(), unit, ours, peer: None, target };
    Ok(vec![
        row("start to the ready line, fresh folder", "s", ready, Target::AtMost(1.0)),
        row("idle, resident memory after 10 s", "MiB", memory, Target::AtMost(40.0)),
        row("idle, CPU of one core over 10 s", "%", cpu, Target::AtMost(0.5)),
        row("idle, threads woken", "/s", wakeups, Target::None),
    ])
}
