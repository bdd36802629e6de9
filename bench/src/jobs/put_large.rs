//! One large upload by one PUT, and the same by 64 parts.
//!
//! Two peers: the bare server that leaves the bytes to the page cache, and the same one when it syncs file and folder
//! before its 200, which is what ours does. The client is sendfile: it costs next to nothing.

use super::{Plan, block_on, note, size_name};
use crate::connection::Connection;
use crate::input;
use crate::peer::{Peer, Sync};
use crate::report::{Row, Side, Target};
use crate::service::Service;
use crate::signing::{Signer, upload_id};
use crate::transfer::{compare_with_file, equal, send_file};
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use std::cell::RefCell;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

const PART_BYTES: u64 = 16 << 20;
const PARTS_AT_ONCE: usize = 4;

pub fn measure(plan: &Plan<'_>) -> Result<Vec<Row>> {
    note("put-large: writing the input");
    let source = plan.workplace.path().join("put-large-input");
    input::write_log(&source, plan.large_bytes)?;
    let service = Service::start(plan.workplace, "put-large")?;
    let lazy = Peer::start(plan.workplace, "put-large-lazy", Sync::None)?;
    let synced = Peer::start(plan.workplace, "put-large-synced", Sync::DataAndName)?;
    let (mut ours, mut of_lazy, mut of_synced) = (Side::default(), Side::default(), Side::default());
    let mut parts = Parts::default();
    for round in 0..plan.rounds {
        note(&format!("put-large: round {}", round + 1));
        for turn in 0..3 {
            plan.workplace.settle();
            match (turn + round) % 3 {
                0 => put(&service, &source, &mut ours)?,
                1 => put_to_peer(&lazy, &source, &mut of_lazy)?,
                _ => put_to_peer(&synced, &source, &mut of_synced)?,
            }
        }
        plan.workplace.settle();
        put_parts(&service, &source, &mut parts)?;
    }
    service.stop()?;
    fs::remove_file(source)?;
    let name = size_name(plan.large_bytes);
    let row = |job: String, unit, ours: &Side, peer, target| Row { job, unit, ours: ours.clone(), peer, target };
    Ok(vec![
        row(
            format!("{name} by one PUT"),
            "MB/s",
            &ours,
            Some(("bare axum, not synced", of_lazy)),
            Target::RatioAtLeast(0.75),
        ),
        row("the same".into(), "MB/s", &ours, Some(("bare axum, file and folder synced", of_synced)), Target::None),
        row(
            format!("{name} by {} parts, {PARTS_AT_ONCE} at once", plan.large_bytes / PART_BYTES),
            "MB/s",
            &parts.all,
            None,
            Target::None,
        ),
        row("completion of the parts".into(), "ms", &parts.completion, None, Target::AtMost(100.0)),
    ])
}

fn put(service: &Service, source: &Path, side: &mut Side) -> Result<()> {
    let signer = Signer::new(service, "uploads")?;
    let mut file = File::open(source)?;
    let bytes = file.metadata()?.len();
    let head = signer.put("park/large", bytes);
    let process = service.process();
    process.forget_peak()?;
    let cpu_before = process.cpu()?;
    let begun = Instant::now();
    let status = send_file(service.s3, &head, &mut file)?;
    let wall = begun.elapsed();
    ensure!(status == 200, "the upload was answered {status}");
    side.add(megabytes(bytes) / wall.as_secs_f64(), process.cpu()? - cpu_before, process.peak_memory()?);
    check_and_delete(service, &signer, "park/large", source)
}

fn put_to_peer(peer: &Peer, source: &Path, side: &mut Side) -> Result<()> {
    let mut file = File::open(source)?;
    let bytes = file.metadata()?.len();
    let head = peer.put("large", bytes);
    let process = peer.process();
    let cpu_before = process.cpu()?;
    let begun = Instant::now();
    let status = send_file(peer.address, &head, &mut file)?;
    let wall = begun.elapsed();
    ensure!(status == 200, "the peer answered {status}");
    side.add(megabytes(bytes) / wall.as_secs_f64(), process.cpu()? - cpu_before, process.peak_memory()?);
    let written = peer.folder.join("large");
    equal(&mut File::open(&written)?, &mut File::open(source)?).context("the peer's file")?;
    Ok(fs::remove_file(written)?)
}

#[derive(Default)]
struct Parts {
    all: Side,
    completion: Side,
}

fn put_parts(service: &Service, source: &Path, parts: &mut Parts) -> Result<()> {
    let signer = Signer::new(service, "uploads")?;
    let key = "park/parts";
    let file = File::open(source)?;
    let bytes = file.metadata()?.len();
    let process = service.process();
    process.forget_peak()?;
    let cpu_before = process.cpu()?;
    let begun = Instant::now();
    let upload = block_on(begin(service, &signer, key))?;
    let tags = block_on(send_parts(service, &signer, key, &upload, &file, bytes))?;
    let complete = signer.complete_multipart(key, &upload, &tags);
    let completing = Instant::now();
    let answer = block_on(async { Connection::open(service.s3).await?.ask(&complete).await?.expect(200) })?;
    parts.completion.values.push(completing.elapsed().as_secs_f64() * 1000.0);
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(text.contains("CompleteMultipartUploadResult"), "the completion was answered {text}");
    let wall = begun.elapsed().as_secs_f64();
    parts.all.add(megabytes(bytes) / wall, process.cpu()? - cpu_before, process.peak_memory()?);
    check_and_delete(service, &signer, key, source)
}

async fn begin(service: &Service, signer: &Signer, key: &str) -> Result<String> {
    let answer = Connection::open(service.s3).await?.ask(&signer.begin_multipart(key)).await?.expect(200)?;
    upload_id(&answer.body)
}

/// The tags of the parts, in order.
async fn send_parts(
    service: &Service,
    signer: &Signer,
    key: &str,
    upload: &str,
    file: &File,
    bytes: u64,
) -> Result<Vec<String>> {
    let count = bytes.div_ceil(PART_BYTES);
    let tags = RefCell::new(vec![String::new(); usize::try_from(count)?]);
    let waiting = RefCell::new(0..count);
    let clients = (0..PARTS_AT_ONCE).map(|_| async {
        let mut connection = Connection::open(service.s3).await?;
        loop {
            let Some(n) = waiting.borrow_mut().next() else { return anyhow::Ok(()) };
            let length = PART_BYTES.min(bytes - n * PART_BYTES);
            let mut request = signer.part(key, upload, u16::try_from(n + 1)?, length);
            let head = request.len();
            request.resize(head + usize::try_from(length)?, 0);
            file.read_exact_at(&mut request[head..], n * PART_BYTES)?;
            let tag = connection.ask(&request).await?.expect(200)?.tag.context("a part without a tag")?;
            tags.borrow_mut()[usize::try_from(n)?] = tag;
        }
    });
    try_join_all(clients).await?;
    Ok(tags.into_inner())
}

fn check_and_delete(service: &Service, signer: &Signer, key: &str, source: &Path) -> Result<()> {
    compare_with_file(service.s3, &signer.get(key), &mut File::open(source)?).context("the upload reads back wrong")?;
    block_on(async { Connection::open(service.s3).await?.ask(&signer.delete(key)).await?.expect(204) })?;
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
