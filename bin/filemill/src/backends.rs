//! The only place that names adapters: the `data` setting's scheme chooses the stores that the engine stands on.

use crate::clock::SystemClock;
use crate::config::file::Storage;
use crate::credentials::Credentials;
use crate::exit::Ending;
use anyhow::{Context, Result};
use filemill_core::ports::{BlobStore, Clock, Keeper, MessageQueues, StateStore, TaskQueue};
use filemill_custom::{Definition, KernelFences, Launcher};
use filemill_engine::{Chance, Compute, Ports, Registry};
use filemill_local::{LocalConfig, LocalStore, OpenError, StoppedStore};
pub use filemill_local::{check_backup, restore_backup};
use filemill_notify::Receivers;
use std::collections::BTreeMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first argument of a process that guards an operator's command; no command of the CLI.
pub const GUARD: &str = "guard";

/// Everything that can be done to a file: what is built in, and what the operator defined. Commands work in `scratch`, or
/// where temporary files go.
pub fn processors(defined: &BTreeMap<String, Definition>, scratch: Option<&Path>) -> Result<Registry, String> {
    let launcher = launcher(scratch);
    Registry::new(filemill_processors::ALL.iter().copied()).with(filemill_custom::processors(defined, launcher)?)
}

fn launcher(scratch: Option<&Path>) -> Launcher {
    let scratch = scratch.map(Path::to_owned);
    Launcher { program: PathBuf::from("/proc/self/exe"), args: vec![GUARD.into()], scratch }
}

/// A folder for commands that nobody else can look into, without what a crash left in it.
pub fn prepare_scratch(scratch: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(scratch)?;
    if !KernelFences::probe().files {
        tracing::warn!("this kernel has no Landlock: commands run only where their definition says unfenced = true");
    }
    if let Err(e) = launcher(Some(scratch)).clear_scratch() {
        tracing::warn!(error = %e, "what a command left behind cannot be removed");
    }
    Ok(())
}

/// What the engine uses besides stores.
pub struct Work {
    pub processors: Registry,
    pub receivers: Receivers,
}

/// A path is the embedded default. `endpoint` is the S3 door as clients reach it.
pub fn open(
    data: &Path,
    storage: &Storage,
    credentials: &Credentials,
    endpoint: &str,
    work: Work,
) -> Result<(Ports, Arc<dyn Keeper>)> {
    let Work { processors, receivers } = work;
    check_scheme(data)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = LocalConfig {
        endpoint: endpoint.to_owned(),
        access_key_id: credentials.s3_access_key_id.clone(),
        secret_access_key: credentials.s3_secret_access_key.clone(),
        reserve: storage.reserve.map(|size| size.0),
        ..LocalConfig::new(data, clock.clone())
    };
    let store = LocalStore::open(config).with_context(|| format!("cannot open the data folder {}", data.display()))?;
    let keeper = store.clone() as Arc<dyn Keeper>;
    let ports = Ports {
        blobs: store.clone() as Arc<dyn BlobStore>,
        state: store.clone() as Arc<dyn StateStore>,
        queue: store.clone() as Arc<dyn TaskQueue>,
        messages: store as Arc<dyn MessageQueues>,
        notifier: Arc::new(receivers),
        clock,
        processors,
        compute: Compute::Threads,
        chance: Chance::from_os(),
    };
    Ok((ports, keeper))
}

/// A data folder without a service, to be looked at or copied.
pub enum Stopped {
    Store(StoppedStore),
    /// A service has it open: ask that.
    InUse,
    /// No folder was named: a service is meant.
    Unnamed,
}

pub fn stopped(data: &Path) -> Result<Stopped> {
    check_scheme(data)?;
    match StoppedStore::open(data) {
        Ok(store) => Ok(Stopped::Store(store)),
        Err(OpenError::InUse(_)) => Ok(Stopped::InUse),
        Err(OpenError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Ending::not_found(format!("there is no data folder {}", data.display())))
        }
        Err(e) => Err(e).with_context(|| format!("cannot open the data folder {}", data.display())),
    }
}

/// Refuses a scheme before anybody makes a folder of that name.
pub fn check_scheme(data: &Path) -> Result<()> {
    match data.to_str().and_then(|text| text.split_once("://")) {
        None => Ok(()),
        Some((scheme, _)) => {
            Err(Ending::usage(format!("there is no backend {scheme}:// in this version; give the path of a folder")))
        }
    }
}
