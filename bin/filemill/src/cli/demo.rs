//! `filemill demo`: a service in a temporary folder and a client that takes sample files through it.

use super::serve::{Signals, runtime};
use crate::config::{Config, Overrides};
use crate::credentials::Given;
use crate::demo::{self, Place};
use crate::logs;
use crate::service::Service;
use anyhow::{Context, Result};
use filemill_core::size::ByteSize;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    /// Exit when all is done, with 1 if a job failed or a result is not exactly right
    #[arg(long)]
    once: bool,
    /// Size of the generated log file
    #[arg(long, default_value = "256MiB", value_parser = ByteSize::parse)]
    size: ByteSize,
    /// Print JSON instead of the table
    #[arg(long)]
    json: bool,
    /// What the service logs
    #[arg(long, env = "FILEMILL_LOG", value_name = "FILTER", default_value = "warn")]
    log: String,
}

impl Args {
    pub fn run(self) -> Result<()> {
        let _until_the_end = logs::start(&self.log, Default::default())?;
        let folder = tempfile::Builder::new().prefix("filemill-demo-").tempdir();
        let folder = folder.context("cannot make a temporary folder")?;
        let runtime = runtime()?;
        let outcome = runtime.block_on(self.show(folder.path()));
        runtime.shutdown_timeout(Duration::from_secs(1));
        outcome
    }

    /// The service runs here; the client is a thread that knows only its addresses and its credentials file.
    async fn show(&self, folder: &Path) -> Result<()> {
        let mut signals = Signals::new()?;
        let free_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let data = folder.join("data");
        let overrides = Overrides {
            data: Some(data.clone()),
            listen: Some(free_port),
            s3_listen: Some(free_port),
            ..Overrides::default()
        };
        let config = Config::load(None, &overrides)?;
        let metrics = filemill_http::metrics::install().context("cannot start the metrics")?;
        let mut service = Service::start(&config, &Given::default(), metrics).await?;
        let place = Place { api: format!("http://{}", service.api), s3: format!("http://{}", service.s3), data };
        let (size, json, stays) = (self.size.0, self.json, !self.once);
        let client = tokio::task::spawn_blocking(move || demo::tour(&place, size, json, stays));
        let outcome = tokio::select! {
            outcome = client => outcome.context("the demo's client broke")?,
            error = service.broken() => Err(error),
            _ = signals.next() => Err(crate::exit::Ending::failed("interrupted")),
        };
        if stays && outcome.is_ok() {
            tokio::select! {
                _ = signals.next() => {}
                error = service.broken() => return Err(error),
            }
        }
        service.stop().await?;
        outcome
    }
}
