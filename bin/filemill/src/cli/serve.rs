//! `filemill serve`: the service, until it is told to stop.

use crate::config::file::LogFormat;
use crate::config::{Config, Overrides};
use crate::credentials::Given;
use crate::service::{Service, reachable};
use crate::{credentials, logs, output};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Shown at the end of `--help`.
const CREDENTIALS: &str = "Credentials:
  The first start makes an admin token and an S3 key pair in DIR/credentials.json. FILEMILL_ADMIN_TOKEN,
  FILEMILL_S3_ACCESS_KEY_ID and FILEMILL_S3_SECRET_ACCESS_KEY give others; the file then follows.

";

#[derive(clap::Args)]
#[command(after_help = CREDENTIALS.to_owned() + crate::exit::EXIT_CODES)]
pub struct Args {
    /// Config file [default: the built-in starter config]
    #[arg(long, env = "FILEMILL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder for state, objects and credentials [default: filemill-data]
    #[arg(long, env = "FILEMILL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// Address of REST and the live feed; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "FILEMILL_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Address of the S3 protocol; port 0 takes a free one [default: 127.0.0.1:9000]
    #[arg(long, env = "FILEMILL_S3_LISTEN", value_name = "ADDRESS")]
    s3_listen: Option<SocketAddr>,
    /// How clients reach the S3 address, for presigned links [default: http:// and the S3 address]
    #[arg(long, env = "FILEMILL_PUBLIC_S3_URL", value_name = "URL")]
    public_s3_url: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter [default: info]
    #[arg(long, env = "FILEMILL_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How logs look [default: pretty]
    #[arg(long, env = "FILEMILL_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let overrides = Overrides {
            listen: self.listen,
            s3_listen: self.s3_listen,
            data: self.data,
            public_s3_url: self.public_s3_url,
            log: self.log,
            log_format: self.log_format,
        };
        let config = Config::load(self.config.as_deref(), &overrides)?;
        let _until_the_end = logs::start(&config.server.log, config.server.log_format)?;
        let runtime = runtime()?;
        let outcome = runtime.block_on(serve(&config));
        // whatever still blocks a thread now was already given back
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }
}

/// Threads that wait for the disk cost little; the bound keeps a flood of requests from becoming a flood of threads.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 16)))
        .max_blocking_threads(256)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_name("filemill")
        .build()
        .context("cannot start the runtime")
}

async fn serve(config: &Config) -> Result<()> {
    let mut signals = Signals::new()?;
    let metrics = filemill_http::metrics::install().context("cannot start the metrics")?;
    let mut service = Service::start(config, &Given::from_env(), metrics).await?;
    let (api, s3) = (reachable(service.api), reachable(service.s3));
    tracing::info!(
        %api,
        %s3,
        config = config.name,
        data = %config.server.data.display(),
        credentials = %credentials::path_in(&config.server.data).display(),
        rules = config.rules.all().len(),
        "service ready"
    );
    output::line(format_args!("filemill ready api=http://{api} s3=http://{s3}"))?;
    tokio::select! {
        name = signals.next() => tracing::info!(signal = name, "stopping; a second signal stops at once"),
        error = service.broken() => {
            tracing::error!(%error, "stopping");
            service.stop().await?;
            return Err(error);
        }
    }
    tokio::select! {
        stopped = service.stop() => stopped?,
        name = signals.next() => {
            tracing::warn!(signal = name, "stopped at once; unfinished work is taken up at the next start");
            std::process::exit(1);
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// SIGTERM (service managers) and SIGINT (Ctrl-C) mean the same.
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub fn new() -> Result<Signals> {
        let handler = |kind| signal(kind).context("cannot listen for signals");
        Ok(Signals { term: handler(SignalKind::terminate())?, int: handler(SignalKind::interrupt())? })
    }

    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
