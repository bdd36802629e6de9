//! A soak: the service at seven tenths of what it can do, for minutes or hours, and whether it stays as it was: memory that
//! does not creep, descriptors that do not pile up, a state file and a log that stay bounded, and at the end one completed
//! job for each upload. Each unit of load is an upload that starts a job. Objects are kept for a minute and records for ten, so
//! that the service removes as many as come. A verdict that is broken ends the program with an error.

use crate::connection::Connection;
use crate::input;
use crate::jobs::block_on;
use crate::process::Process;
use crate::service::{self, Service};
use crate::signing::Signer;
use crate::workplace::Workplace;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Of the measured capacity.
const SHARE: f64 = 0.7;
const CONNECTIONS: usize = 8;
/// So much of the load has to be made, or the run says nothing.
const LOAD_MIN: f64 = 0.95;
/// The capacity is measured for so long, after as long: objects expire by then.
const CALIBRATION: Duration = Duration::from_secs(90);
const OBJECTS_KEPT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Caches fill and the allocator settles: nothing before this is judged. So much of the whole, and at least so long.
const WARM_UP: f64 = 0.3;
const WARM_UP_MIN: Duration = Duration::from_secs(240);
/// Of the mean, in ten minutes.
const MEMORY_SLOPE_MAX: f64 = 0.01;
const RECORDS_KEPT: Duration = Duration::from_secs(600);
/// Before this the state file still fills, and its free pages settle.
const STATE_FULL_AFTER: Duration = Duration::from_secs(1500);
/// Ten minutes of looks, less than which show no slope.
const STATE_LOOKS_MIN: usize = 60;
/// Of the mean, in ten minutes.
const STATE_SLOPE_MAX: f64 = 0.01;
const DESCRIPTORS_SPREAD_MAX: u64 = 16;
/// The write-ahead log is asked to restart at 32 MiB and again with each 16; four times that is out of hand.
const LOG_BYTES_MAX: u64 = 128 << 20;
/// Of the service's log, shown where a soak fails: its folder goes.
const LAST_LINES_BYTES: u64 = 4096;
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// Clients that wait for nothing but their answer bring more than is worked off, by as much as the expiry of objects costs.
const CALIBRATION_DRAIN_MAX: Duration = Duration::from_secs(300);

#[derive(clap::Args)]
pub struct Args {
    #[arg(long, default_value_t = 15)]
    minutes: u64,
    /// A folder on the disk to use [default: beside this program]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The program to measure [default: `filemill` beside this program]
    #[arg(long)]
    filemill: Option<PathBuf>,
}

/// The service at one moment.
struct Look {
    at: f64,
    memory: u64,
    descriptors: u64,
    state_bytes: u64,
    log_bytes: u64,
    backlog: u64,
}

pub fn run(args: &Args) -> Result<()> {
    let workplace = Workplace::new(args.dir.as_deref(), args.filemill.as_deref())?;
    soak_in(&workplace, args).with_context(|| {
        let last = last_lines(&workplace.path().join("soak/log")).unwrap_or_else(|e| e.to_string());
        format!("the service's last lines:\n{last}")
    })
}

fn last_lines(log: &Path) -> Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut log = fs::File::open(log)?;
    let behind = log.metadata()?.len().saturating_sub(LAST_LINES_BYTES);
    log.seek(SeekFrom::Start(behind))?;
    let mut text = Vec::new();
    log.read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn soak_in(workplace: &Workplace, args: &Args) -> Result<()> {
    let service = Service::start_with(workplace, "soak", &config())?;
    let data = workplace.folder("soak")?.join("data");
    let Calibration { sent, capacity } = calibrate(&service)?;
    let rate = capacity * SHARE;
    println!("capacity {capacity:.0} jobs a second; {} minutes at {rate:.0}", args.minutes);
    let soaked = block_on(soak(&service, rate, Duration::from_secs(args.minutes * 60), &data))?;
    let (looks, drained) = (soaked.looks, drain(&service, sent + soaked.sent, DRAIN_MAX)?);
    service.stop()?;
    judge(&looks, drained)
}

fn config() -> String {
    let expiring = format!("expire_after = \"{}s\"\n", OBJECTS_KEPT.as_secs());
    let buckets = ["uploads", "results"].map(|name| format!("[buckets.{name}]\n"));
    let with_expiry = |config: String, bucket: &String| config.replacen(bucket, &format!("{bucket}{expiring}"), 1);
    let config = buckets.iter().fold(service::CONFIG.to_owned(), with_expiry);
    let kept = RECORDS_KEPT.as_secs() / 60;
    let lines = ["jobs", "events", "removed_files"].map(|what| format!("{what} = \"{kept}m\"\n"));
    format!("{config}[retention]\n{}", lines.concat())
}

struct Calibration {
    /// Uploads, those to warm up among them.
    sent: u64,
    /// Jobs a second, from the first upload that counts to the last job's end, as fast as the clients get answers.
    capacity: f64,
}

fn calibrate(service: &Service) -> Result<Calibration> {
    println!("the capacity is measured for {:?}", CALIBRATION * 2);
    let warm_up = block_on(uploads(service, "warm-up", None, CALIBRATION))?;
    drain(service, warm_up, CALIBRATION_DRAIN_MAX)?;
    let begun = Instant::now();
    let counted = block_on(uploads(service, "calibration", None, CALIBRATION))?;
    let sent = warm_up + counted;
    drain(service, sent, CALIBRATION_DRAIN_MAX)?;
    Ok(Calibration { sent, capacity: counted as f64 / begun.elapsed().as_secs_f64() })
}

/// By all clients; answers how many.
async fn uploads(service: &Service, folder: &str, each: Option<Duration>, lasts: Duration) -> Result<u64> {
    let begun = Instant::now();
    let clients = (0..CONNECTIONS as u64).map(|nth| client(service, folder, nth, each, begun, lasts));
    Ok(futures::future::try_join_all(clients).await?.into_iter().sum())
}

fn upload(signer: &Signer, folder: &str, number: u64) -> Vec<u8> {
    let mut request = signer.put(&format!("hello/{folder}/{number}"), input::SMALL_BYTES as u64);
    request.extend_from_slice(&input::small(number));
    request
}

struct Soaked {
    sent: u64,
    looks: Vec<Look>,
}

async fn soak(service: &Service, rate: f64, lasts: Duration, data: &Path) -> Result<Soaked> {
    let begun = Instant::now();
    let each = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let looking = async {
        let mut looks = Vec::new();
        while begun.elapsed() < lasts {
            tokio::time::sleep(LOOK_EVERY).await;
            let look = look(service, begun, data)?;
            println!(
                "{:6.0} s  {:7.1} MiB  {:4} descriptors  state {:7.1} MiB  log {:6.1} MiB  backlog {}",
                look.at,
                look.memory as f64 / 1048576.0,
                look.descriptors,
                look.state_bytes as f64 / 1048576.0,
                look.log_bytes as f64 / 1048576.0,
                look.backlog
            );
            looks.push(look);
        }
        anyhow::Ok(looks)
    };
    let (looks, sent) = tokio::try_join!(looking, uploads(service, "soak", Some(each), lasts))?;
    let reached = sent as f64 / begun.elapsed().as_secs_f64();
    println!("{sent} uploads, {reached:.0} a second");
    ensure!(reached >= rate * LOAD_MIN, "only {reached:.0} of {rate:.0} uploads a second were made: this was no soak");
    Ok(Soaked { sent, looks })
}

/// Requests go out at their times, whatever the answers take, and a client that falls behind catches up; without times as
/// fast as answers come.
async fn client(
    service: &Service,
    folder: &str,
    nth: u64,
    each: Option<Duration>,
    begun: Instant,
    lasts: Duration,
) -> Result<u64> {
    let mut connection = Connection::open(service.s3).await?;
    let mut sent = 0;
    while begun.elapsed() < lasts {
        if let Some(each) = each {
            let due = each * u32::try_from(sent).context("too many uploads")?;
            tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
        }
        // links end after an hour, so they are made as they are used
        let signer = Signer::new(service, "uploads")?;
        connection.ask(&upload(&signer, folder, sent * CONNECTIONS as u64 + nth)).await?.expect(200)?;
        sent += 1;
    }
    Ok(sent)
}

fn look(service: &Service, begun: Instant, data: &Path) -> Result<Look> {
    let process: Process = service.process();
    let bytes = |file| fs::metadata(data.join(file)).map_or(0, |file| file.len());
    Ok(Look {
        at: begun.elapsed().as_secs_f64(),
        memory: process.memory()?,
        descriptors: fs::read_dir(format!("/proc/{}/fd", process.0))?.count() as u64,
        state_bytes: bytes("filemill.db"),
        log_bytes: bytes("filemill.db-wal"),
        backlog: backlog(service)?,
    })
}

/// Announcements not yet ingested, those of expired objects too, and open jobs.
fn backlog(service: &Service) -> Result<u64> {
    let names =
        ["filemill_announcements_waiting ", "filemill_jobs{status=\"queued\"} ", "filemill_jobs{status=\"running\"} "];
    let text = metrics(service.api, &service.token)?;
    names.into_iter().map(|name| figure(&text, name)).sum()
}

fn figure(metrics: &str, name: &str) -> Result<u64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    line.with_context(|| format!("no {name} in the metrics"))?.trim().parse().context("a whole figure")
}

/// Over all series of a counter with this last label.
fn sum(metrics: &str, name: &str, label: &str) -> Result<u64> {
    let series = metrics.lines().filter(|line| line.starts_with(name));
    let values = series.filter_map(|line| line.split_once(label)).map(|(_, value)| value.trim().parse::<u64>());
    values.sum::<Result<u64, _>>().context("a whole figure")
}

fn metrics(api: SocketAddr, token: &str) -> Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(api)?;
    let head =
        format!("GET /metrics HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// How long it took until the job of each upload had completed. Expired objects are removed for a while longer, so the
/// backlog says nothing here.
fn drain(service: &Service, sent: u64, within: Duration) -> Result<Duration> {
    let begun = Instant::now();
    loop {
        let completed = sum(&metrics(service.api, &service.token)?, "filemill_jobs_total{", "status=\"completed\"} ")?;
        ensure!(completed <= sent, "{completed} jobs have completed, of {sent} uploads");
        if completed == sent {
            return Ok(begun.elapsed());
        }
        ensure!(begun.elapsed() < within, "{completed} of {sent} jobs have completed after {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn judge(looks: &[Look], drained: Duration) -> Result<()> {
    let end = looks.last().map_or(0.0, |look| look.at);
    let warm_from = (end * WARM_UP).max(WARM_UP_MIN.as_secs_f64());
    let warm = &looks[looks.partition_point(|look| look.at < warm_from)..];
    ensure!(warm.len() >= 5, "too short to judge: {} looks after the warm-up", warm.len());
    let slope = slope_of_mean(warm, |look| look.memory);
    let of = |field: fn(&Look) -> u64| {
        let values = || warm.iter().map(field);
        (values().min().unwrap_or(0), values().max().unwrap_or(0))
    };
    let ((fewest, most), (_, log_bytes)) = (of(|look| look.descriptors), of(|look| look.log_bytes));
    println!(
        "memory {:+.2} % in ten minutes; descriptors {fewest} to {most}; log {} MiB at most; drained in {drained:?}",
        slope * 100.0,
        log_bytes >> 20
    );
    ensure!(slope < MEMORY_SLOPE_MAX, "memory creeps");
    ensure!(most - fewest <= DESCRIPTORS_SPREAD_MAX, "descriptors pile up");
    ensure!(log_bytes <= LOG_BYTES_MAX, "the log grows");
    let full = &looks[looks.partition_point(|look| look.at < STATE_FULL_AFTER.as_secs_f64())..];
    if full.len() < STATE_LOOKS_MIN {
        println!("it stays as it was; too short to judge the state file, which fills for {STATE_FULL_AFTER:?}");
        return Ok(());
    }
    let slope = slope_of_mean(full, |look| look.state_bytes);
    println!("state file {:+.2} % in ten minutes", slope * 100.0);
    ensure!(slope < STATE_SLOPE_MAX, "the state file grows");
    println!("it stays as it was");
    Ok(())
}

/// Least squares: how much of its mean a field gains in ten minutes.
fn slope_of_mean(looks: &[Look], field: fn(&Look) -> u64) -> f64 {
    let count = looks.len() as f64;
    let mean = |values: &dyn Fn(&Look) -> f64| looks.iter().map(values).sum::<f64>() / count;
    let (time, value) = (mean(&|look| look.at), mean(&|look| field(look) as f64));
    let covariance: f64 = looks.iter().map(|look| (look.at - time) * (field(look) as f64 - value)).sum();
    let variance: f64 = looks.iter().map(|look| (look.at - time).powi(2)).sum();
    covariance / variance * 600.0 / value
}
