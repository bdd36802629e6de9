//! Durable uploads of one kilobyte, each with its own key, by 1, 16 and 64 connections.
//!
//! The peer answers 200 when the file's data, its name and its folder are synced: what a 200 means here too. On our
//! side a record, an announcement and a verified signature come with it.

use super::{Plan, block_on, load, note};
use crate::input;
use crate::peer::{Peer, Sync};
use crate::report::{Row, Side, Target, percentile};
use crate::service::Service;
use crate::signing::Signer;
use anyhow::{Result, ensure};
use std::fs;

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (connections, uploads) in [(64, 8000), (16, 3000), (1, 300)] {
        note(&format!("put-small: {connections} connections"));
        rows.extend(with(plan, connections, uploads)?);
    }
    Ok(rows)
}

fn with(plan: &Plan<'_>, connections: usize, uploads: u64) -> Result<Vec<Row>> {
    let service = Service::start(plan.workplace, &format!("put-small-{connections}"))?;
    let peer = Peer::start(plan.workplace, &format!("put-small-{connections}-peer"), Sync::DataAndName)?;
    let signer = Signer::new(&service, "uploads")?;
    let (mut ours, mut theirs) = (Side::default(), Side::default());
    let (mut our_p50, mut their_p50) = (Side::default(), Side::default());
    let key = |round, n| format!("park-{round}-{n}");
    let ours_run = |round| {
        let keys: Vec<String> = (0..uploads).map(|n| key(round, n)).collect();
        let requests = (0..uploads).map(|n| with_body(signer.put(&keys[n as usize], input::SMALL_BYTES as u64), n));
        let requests: Vec<_> = requests.collect();
        let process = service.process();
        process.forget_peak()?;
        let cpu_before = process.cpu()?;
        let load = block_on(load::drive(service.s3, connections, requests))?;
        let cpu = process.cpu()? - cpu_before;
        ours.add(uploads as f64 / load.wall.as_secs_f64(), cpu, process.peak_memory()?);
        our_p50.values.push(percentile(&load.each_ms, 50.0));
        let gets: Vec<_> = keys.iter().map(|key| signer.get(key)).collect();
        let bodies = block_on(load::fetch(service.s3, &gets))?;
        let equal = bodies.iter().enumerate().all(|(n, body)| *body == input::small(n as u64));
        ensure!(equal, "an upload reads back wrong");
        Ok(())
    };
    let peer_run = |round| {
        let requests = (0..uploads).map(|n| with_body(peer.put(&key(round, n), input::SMALL_BYTES as u64), n));
        let requests: Vec<_> = requests.collect();
        let process = peer.process();
        let cpu_before = process.cpu()?;
        let load = block_on(load::drive(peer.address, connections, requests))?;
        let cpu = process.cpu()? - cpu_before;
        theirs.add(uploads as f64 / load.wall.as_secs_f64(), cpu, process.peak_memory()?);
        their_p50.values.push(percentile(&load.each_ms, 50.0));
        for n in 0..uploads {
            ensure!(fs::read(peer.folder.join(key(round, n)))? == input::small(n), "the peer wrote a wrong file");
        }
        Ok(())
    };
    plan.round_robin(ours_run, peer_run)?;
    service.stop()?;
    let name = "bare axum, file and folder synced";
    let target = if connections == 64 { Target::RatioAtLeast(1.0) } else { Target::None };
    Ok(vec![
        Row {
            job: format!("durable 1 KB PUT, {connections} connection{}", if connections == 1 { "" } else { "s" }),
            unit: "/s",
            ours,
            peer: Some((name, theirs)),
            target,
        },
        Row { job: "its p50".into(), unit: "ms", ours: our_p50, peer: Some((name, their_p50)), target: Target::None },
    ])
}

fn with_body(mut head: Vec<u8>, number: u64) -> Vec<u8> {
    head.extend_from_slice(&input::small(number));
    head
}
