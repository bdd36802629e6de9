//! The bare server that uploads are compared with: axum writes a PUT's body to a file, and nothing else.
//!
//! No signatures, no names to check, no records, no announcements. `--sync` says what is on disk before the 200.

mod client;

pub use client::Peer;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::put;
use clap::ValueEnum;
use http_body_util::BodyExt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    folder: PathBuf,
    #[arg(long, value_enum)]
    sync: Sync,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sync {
    /// Written under its name, not synced
    None,
    /// Written under another name, data synced, renamed, folder synced
    DataAndName,
}

struct Server {
    folder: PathBuf,
    sync: Sync,
    next: AtomicU64,
}

pub fn run(args: &Args) -> Result<()> {
    let server = Arc::new(Server { folder: args.folder.clone(), sync: args.sync, next: AtomicU64::new(0) });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let app = Router::new().route("/{name}", put(receive)).with_state(server);
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            let _small_answers_leave_at_once = stream.set_nodelay(true);
        });
        axum::serve(listener, app).await.context("the peer stopped")
    })
}

/// A body of one piece goes to the disk's thread at once, a longer one piece by piece.
async fn receive(State(server): State<Arc<Server>>, Path(name): Path<String>, mut body: Body) -> StatusCode {
    let (pieces, mut incoming) = tokio::sync::mpsc::channel::<axum::body::Bytes>(16);
    let mut first = None;
    if let Some(Ok(frame)) = body.frame().await {
        first = frame.into_data().ok();
    }
    let writing = tokio::task::spawn_blocking(move || -> io::Result<()> {
        let mut file = server.create(&name)?;
        if let Some(piece) = first {
            file.file.write_all(&piece)?;
        }
        while let Some(piece) = incoming.blocking_recv() {
            file.file.write_all(&piece)?;
        }
        server.finish(&file)
    });
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(piece) = frame.into_data()
            && pieces.send(piece).await.is_err()
        {
            break;
        }
    }
    drop(pieces);
    match writing.await {
        Ok(Ok(())) => StatusCode::OK,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

struct Written {
    file: File,
    path: PathBuf,
    name: PathBuf,
}

impl Server {
    fn create(&self, name: &str) -> io::Result<Written> {
        let name = self.folder.join(name);
        let path = match self.sync {
            Sync::None => name.clone(),
            Sync::DataAndName => self.folder.join(format!(".{}", self.next.fetch_add(1, Ordering::Relaxed))),
        };
        Ok(Written { file: File::create(&path)?, path, name })
    }

    fn finish(&self, written: &Written) -> io::Result<()> {
        if self.sync == Sync::None {
            return Ok(());
        }
        written.file.sync_data()?;
        fs::rename(&written.path, &written.name)?;
        File::open(&self.folder)?.sync_all()
    }
}
