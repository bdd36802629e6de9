//! A thousand listeners of the live feed while jobs end: how long after the service decided an event each one has it.
//!
//! All listeners are in this one process, so that its own work is in the figure too.

use super::feed::Feed;
use super::{Plan, block_on, note};
use crate::connection::Connection;
use crate::input;
use crate::report::{Row, Side, Target, percentile};
use crate::service::Service;
use crate::signing::Signer;
use anyhow::Result;
use futures::future::try_join_all;
use std::time::{Duration, SystemTime};

const LISTENERS: usize = 1000;
const JOBS: u64 = 200;
/// Between two uploads: 20 a second.
const PACE: Duration = Duration::from_millis(50);

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("listeners: 1,000 of the live feed, 200 jobs");
    let service = Service::start(plan.workplace, "listeners")?;
    let (mut p50, mut p99) = (Side::default(), Side::default());
    for round in 0..plan.rounds {
        plan.workplace.settle();
        let process = service.process();
        let cpu_before = process.cpu()?;
        let lags_ms = block_on(lags(&service, round))?;
        p99.add(percentile(&lags_ms, 99.0), process.cpu()? - cpu_before, process.peak_memory()?);
        p50.values.push(percentile(&lags_ms, 50.0));
    }
    service.stop()?;
    let row = |what: &str, ours, target| Row {
        job: format!("{LISTENERS} listeners of the live feed, {} events each: lag, {what}", JOBS),
        unit: "ms",
        ours,
        peer: None,
        target,
    };
    Ok(vec![row("p99", p99, Target::AtMost(1000.0)), row("p50", p50, Target::None)])
}

async fn lags(service: &Service, round: u32) -> Result<Vec<f64>> {
    let feeds = try_join_all((0..LISTENERS).map(|_| Feed::open(service))).await?;
    let listening = feeds.into_iter().map(async |mut feed| {
        let mut lags = Vec::with_capacity(JOBS as usize);
        for _ in 0..JOBS {
            let decided = feed.ended().await?.at;
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
            lags.push(now.as_secs_f64() * 1000.0 - decided.as_millis() as f64);
        }
        anyhow::Ok(lags)
    });
    let uploading = async {
        let (signer, mut connection) = (Signer::new(service, "uploads")?, Connection::open(service.s3).await?);
        let mut pace = tokio::time::interval(PACE);
        for n in 0..JOBS {
            pace.tick().await;
            let mut request = signer.put(&format!("hello/{round}/{n}"), input::SMALL_BYTES as u64);
            request.extend_from_slice(&input::small(n));
            connection.ask(&request).await?.expect(200)?;
        }
        anyhow::Ok(())
    };
    let (lags, ()) = futures::try_join!(try_join_all(listening), uploading)?;
    Ok(lags.concat())
}
