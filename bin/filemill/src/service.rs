//! A whole service in this process: stores, engine and doors, from start to drained stop. Used by `serve` and `demo`.

use crate::backends;
use crate::config::{Config, ServerSettings};
use crate::credentials::{self, Credentials, Given};
use crate::exit::Ending;
use anyhow::{Context, Result};
use filemill_engine::{Engine, Ports};
use filemill_http::api::{ApiConfig, ApiDoor};
use filemill_http::metrics::PrometheusHandle;
use filemill_http::s3::{KeyPair, S3Config, S3Door};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

/// A service that listens and works.
pub struct Service {
    pub api: SocketAddr,
    pub s3: SocketAddr,
    stop: CancellationToken,
    rooms: JoinSet<&'static str>,
}

impl Service {
    /// Ready when this returns: stores open, buckets made, both doors listening.
    pub async fn start(config: &Config, given: &Given, metrics: PrometheusHandle) -> Result<Service> {
        let settings = &config.server;
        backends::check_scheme(&settings.data)?;
        let credentials = credentials::choose(&settings.data, given)?;
        let api_listener = listen(settings.listen, "--listen").await?;
        let s3_listener = listen(settings.s3_listen, "--s3-listen").await?;
        let (api, s3) = (api_listener.local_addr()?, s3_listener.local_addr()?);
        let scratch = settings.data.join("scratch");
        let work = backends::Work { processors: config.processors_in(&scratch)?, receivers: config.receivers.clone() };
        let endpoint = public_s3_url(settings, s3);
        let (ports, keeper) = backends::open(&settings.data, &config.storage, &credentials, &endpoint, work)?;
        credentials::keep(&settings.data, &credentials)?;
        if config.defines_processors() {
            backends::prepare_scratch(&scratch).context("cannot make the folder for commands")?;
        }
        let mut engine = config.engine(worker_name());
        engine.master_key = Some(credentials.master_key()?);
        let engine = Engine::new(ports.clone(), engine).map_err(|e| Ending::usage(e.to_string()))?;
        engine.prepare().await.context("cannot make the buckets")?;

        let stop = CancellationToken::new();
        let mut rooms = JoinSet::new();
        let s3_door = s3_door(&ports, &engine, &credentials, settings);
        let api_door = ApiDoor::new(ApiConfig {
            engine: engine.clone(),
            keeper: Some(keeper),
            admin_token: credentials.admin_token.clone(),
            metrics: Some(metrics),
            allowed_origins: settings.allowed_origins.clone(),
            rates: settings.rates,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        });
        let token = stop.clone();
        rooms.spawn(async move {
            api_door.serve(api_listener, token).await;
            "REST door"
        });
        let token = stop.clone();
        rooms.spawn(async move {
            s3_door.serve(s3_listener, token).await;
            "S3 door"
        });
        let token = stop.clone();
        rooms.spawn(async move {
            engine.run(token).await;
            "engine"
        });
        Ok(Service { api, s3, stop, rooms })
    }

    /// Returns only if a part of the service ended by itself, which it never should.
    pub async fn broken(&mut self) -> anyhow::Error {
        match self.rooms.join_next().await {
            Some(ended) => anyhow::anyhow!("the {} stopped by itself", name_of(ended)),
            None => anyhow::anyhow!("nothing of the service runs any more"),
        }
    }

    /// The doors stop accepting, what runs is finished or given back; returns when all is down.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        let mut outcome = Ok(());
        while let Some(ended) = self.rooms.join_next().await {
            if let Err(e) = ended {
                outcome = Err(anyhow::Error::new(e).context("a part of the service did not stop in order"));
            }
        }
        outcome
    }
}

fn name_of(ended: Result<&'static str, JoinError>) -> String {
    ended.map_or_else(|e| format!("service's part ({e})"), str::to_owned)
}

fn s3_door(ports: &Ports, engine: &Engine, credentials: &Credentials, settings: &ServerSettings) -> S3Door {
    let pair = KeyPair {
        access_key_id: credentials.s3_access_key_id.clone(),
        secret_access_key: credentials.s3_secret_access_key.clone(),
    };
    let mut config = S3Config::new(ports.blobs.clone(), ports.clock.clone(), vec![pair]);
    config.queues = Some(ports.messages.clone());
    config.public_url = settings.public_s3_url.clone();
    config.rates = settings.rates;
    config.engine = Some(engine.clone());
    let engine = engine.config();
    config.bucket_limits = engine.buckets.keys().map(|name| (name.clone(), engine.max_size_of(name))).collect();
    S3Door::new(config)
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "other machines can reach this address; put TLS and a firewall in front of it");
    }
    TcpListener::bind(address)
        .await
        .map_err(|e| Ending::failed(format!("cannot listen on {address}: {e}; {flag} names another address")))
}

/// What presigned links say. A service that listens everywhere is reached at loopback unless it is told its name.
fn public_s3_url(settings: &ServerSettings, s3: SocketAddr) -> String {
    if let Some(url) = &settings.public_s3_url {
        return url.trim_end_matches('/').to_owned();
    }
    if s3.ip().is_unspecified() {
        tracing::warn!("presigned links will name this machine's loopback; set server.public_s3_url for other clients");
    }
    format!("http://{}", reachable(s3))
}

/// The address to dial for a listener that may listen everywhere.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Unique per process and start, also in containers that all have process id 1.
fn worker_name() -> String {
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros());
    format!("{}-{started:x}", std::process::id())
}
