//! One kilobyte at a time: from the first byte of the PUT until a GET gives the result.
//!
//! Readable is found out in two ways: by asking for the result again and again on the same connection (0.1 ms between
//! two questions), and by the live feed and then one GET. The peer is the disk: two appends of the kilobyte, each with
//! its fdatasync, in series, in turns with the uploads.

use super::feed::Feed;
use super::{Plan, block_on, note};
use crate::connection::Connection;
use crate::input;
use crate::report::{Row, Side, Target, percentile};
use crate::service::Service;
use crate::signing::Signer;
use anyhow::{Result, ensure};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

const SAMPLES_PER_ROUND: u64 = 200;
const WARM_UP: u64 = 20;
const BETWEEN_QUESTIONS: Duration = Duration::from_micros(100);

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("latency: 1 KB, one at a time");
    let service = Service::start(plan.workplace, "latency")?;
    let mut disk = File::create(plan.workplace.path().join("latency-floor"))?;
    let samples = SAMPLES_PER_ROUND * u64::from(plan.rounds);
    plan.workplace.settle();
    let cpu_before = service.process().cpu()?;
    let asked = block_on(by_asking(&service, &mut disk, samples))?;
    let cpu = service.process().cpu()?.saturating_sub(cpu_before);
    let told = block_on(by_feed(&service, &mut disk, samples))?;
    let peak = service.process().peak_memory()?;
    service.stop()?;
    let mut p50 = row("1 KB upload to readable result, p50", &asked, 50.0, Target::RatioAtMost(1.3));
    p50.ours.cpu_secs = vec![cpu.as_secs_f64()];
    p50.ours.peak_memory = peak;
    Ok(vec![
        p50,
        row("the same, p99", &asked, 99.0, Target::None),
        row("the same, heard by the live feed, p50", &told, 50.0, Target::None),
        row("the same, heard by the live feed, p99", &told, 99.0, Target::None),
        Row {
            job: "of it, until the PUT's 200, p50".into(),
            unit: "ms",
            ours: Side::of(percentile(&asked.put_ms, 50.0)),
            peer: Some(("one fdatasync", Side::of(percentile(&asked.disk_ms, 50.0) / 2.0))),
            target: Target::None,
        },
    ])
}

#[derive(Default)]
struct Samples {
    put_ms: Vec<f64>,
    result_ms: Vec<f64>,
    disk_ms: Vec<f64>,
}

fn row(job: &str, samples: &Samples, percent: f64, target: Target) -> Row {
    Row {
        job: job.into(),
        unit: "ms",
        ours: Side::of(percentile(&samples.result_ms, percent)),
        peer: Some(("two fdatasyncs", Side::of(percentile(&samples.disk_ms, percent)))),
        target,
    }
}

/// One upload with all that it needs, made before the clock starts.
struct Trial {
    key: String,
    put: Vec<u8>,
    get: Vec<u8>,
    body: Vec<u8>,
}

fn trials(service: &Service, name: &str, samples: u64) -> Result<Vec<Trial>> {
    let (uploads, results) = (Signer::new(service, "uploads")?, Signer::new(service, "results")?);
    let trial = |n| {
        let (key, body) = (format!("hello/{name}-{n}"), input::small(n));
        let mut put = uploads.put(&key, body.len() as u64);
        put.extend_from_slice(&body);
        Trial { get: results.get(&key), key, put, body }
    };
    Ok((0..samples + WARM_UP).map(trial).collect())
}

async fn by_asking(service: &Service, disk: &mut File, samples: u64) -> Result<Samples> {
    let mut connection = Connection::open(service.s3).await?;
    let mut taken = Samples::default();
    for (n, trial) in trials(service, "asked", samples)?.into_iter().enumerate() {
        let floor = two_syncs(disk, &trial.body)?;
        let begun = Instant::now();
        connection.ask(&trial.put).await?.expect(200)?;
        let put = begun.elapsed();
        let result = loop {
            let answer = connection.ask(&trial.get).await?;
            if answer.status == 200 {
                break answer.body;
            }
            answer.expect(404)?;
            std::thread::sleep(BETWEEN_QUESTIONS);
        };
        let readable = begun.elapsed();
        ensure!(result == input::prefixed(&trial.body), "a wrong result for {}", trial.key);
        taken.add(n, put, readable, floor);
    }
    Ok(taken)
}

async fn by_feed(service: &Service, disk: &mut File, samples: u64) -> Result<Samples> {
    let mut feed = Feed::open(service).await?;
    let mut connection = Connection::open(service.s3).await?;
    let mut taken = Samples::default();
    for (n, trial) in trials(service, "told", samples)?.into_iter().enumerate() {
        let floor = two_syncs(disk, &trial.body)?;
        let begun = Instant::now();
        connection.ask(&trial.put).await?.expect(200)?;
        let put = begun.elapsed();
        while feed.completed().await? != trial.key {}
        let result = connection.ask(&trial.get).await?.expect(200)?.body;
        let readable = begun.elapsed();
        ensure!(result == input::prefixed(&trial.body), "a wrong result for {}", trial.key);
        taken.add(n, put, readable, floor);
    }
    Ok(taken)
}

fn two_syncs(disk: &mut File, body: &[u8]) -> Result<Duration> {
    let begun = Instant::now();
    for _ in 0..2 {
        disk.write_all(body)?;
        disk.sync_data()?;
    }
    Ok(begun.elapsed())
}

impl Samples {
    fn add(&mut self, number: usize, put: Duration, readable: Duration, floor: Duration) {
        if (number as u64) < WARM_UP {
            return;
        }
        let ms = |duration: Duration| duration.as_secs_f64() * 1000.0;
        self.put_ms.push(ms(put));
        self.result_ms.push(ms(readable));
        self.disk_ms.push(ms(floor));
    }
}
