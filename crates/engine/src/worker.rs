//! Leases tasks and works on them: lease, load, run, decide, commit.
//!
//! One loop per process leases as much as there is room for; each lease runs as a task of its own. `stop` ends the
//! leasing, then the running tasks finish or are given back.

mod cores;
mod keep_alive;
mod pause;
mod settle;
mod source;
mod suspects;

use crate::Engine;
use crate::steps::{Done, Step, Stopped, Watch};
use cores::{Cores, Share};
use filemill_core::job::Job;
use filemill_core::lifecycle::Happening;
use filemill_core::limits;
use filemill_core::ports::{Lease, LeaseRequest, StateError};
use filemill_core::task::{TaskId, TaskKind};
use keep_alive::{Ended, keep_alive};
use pause::Pause;
use settle::{drop_task, release, settle};
use std::collections::BTreeMap;
use std::sync::Arc;
use suspects::{Suspects, Turn};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let ports = &engine.inner.ports;
    let cores = Arc::new(Cores::new(engine.inner.config.chunks_max, engine.inner.config.tasks_max));
    let give_back = CancellationToken::new();
    let mut running = JoinSet::new();
    let mut pause = Pause::default();
    let suspects = Suspects::default();
    while !stop.is_cancelled() {
        while running.try_join_next().is_some() {}
        if pause.is_due(ports.blobs.room()) {
            engine.pause_for_outage(&stop).await;
            continue;
        }
        let room = engine.inner.config.tasks_max.saturating_sub(u32::try_from(running.len()).unwrap_or(u32::MAX));
        let leases = match lease(engine, room, cores.left()).await {
            Ok(leases) => leases,
            Err(e) => {
                tracing::warn!(error = %e, "the queue gives no leases");
                engine.pause_for_outage(&stop).await;
                continue;
            }
        };
        let leased = !leases.is_empty();
        for lease in leases {
            let share = (lease.task.id.kind == TaskKind::Chunk).then(|| Share::of(&cores));
            let turn = suspects.turn(&lease);
            running.spawn(hold(engine.clone(), lease, turn, share, give_back.clone()));
        }
        if leased {
            continue;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            Some(_) = running.join_next() => {}
            () = ports.queue.ready(), if room > 0 => {}
            () = cores.freed() => {}
            () = ports.clock.sleep(limits::WORKER_POLL) => {}
        }
    }
    drain(engine, running, give_back).await;
}

impl Engine {
    /// Leases one task and works on it; false if none is ready. For tests that choose the order of things themselves.
    pub async fn work_once(&self) -> Result<bool, StateError> {
        let Some(lease) = lease(self, 1, self.inner.config.chunks_max).await?.pop() else { return Ok(false) };
        work(self, lease, Watch::default(), CancellationToken::new()).await;
        Ok(true)
    }
}

async fn drain(engine: &Engine, mut running: JoinSet<()>, give_back: CancellationToken) {
    let all_done = async { while running.join_next().await.is_some() {} };
    tokio::select! {
        biased;
        () = all_done => return,
        () = engine.inner.ports.clock.sleep(limits::DRAIN) => {}
    }
    give_back.cancel();
    while running.join_next().await.is_some() {}
}

async fn lease(engine: &Engine, room: u32, max_chunks: u32) -> Result<Vec<Lease>, StateError> {
    if room == 0 {
        return Ok(Vec::new());
    }
    let config = &engine.inner.config;
    let limits = config.queues.iter().filter_map(|(name, q)| q.max_running.map(|max| (name.clone(), max)));
    let wanted = LeaseRequest {
        worker: config.worker.clone(),
        max: room,
        max_chunks,
        duration: config.lease,
        max_running: limits.collect::<BTreeMap<_, _>>(),
    };
    engine.inner.ports.queue.lease(wanted).await
}

async fn hold(engine: Engine, lease: Lease, turn: Turn, share: Option<Share>, give_back: CancellationToken) {
    let watch = share.as_ref().map_or_else(Watch::default, |share| Watch::telling(share.teller()));
    match turn {
        Turn::Now => work(&engine, lease, watch, give_back).await,
        Turn::Watched(permit) => suspects::watched(&engine, permit, work(&engine, lease, watch, give_back)).await,
        Turn::Later(rest) => suspects::put_off(&engine, lease, rest).await,
    }
    drop(share);
}

/// From the lease to the commit.
async fn work(engine: &Engine, lease: Lease, watch: Watch, give_back: CancellationToken) {
    let TaskId { job, run, kind, index } = &lease.task.id;
    let attempt = lease.task.attempts;
    let span = tracing::debug_span!("task", %job, run, kind = ?kind, index, attempt);
    work_on(engine, lease, watch, give_back).instrument(span).await;
}

async fn work_on(engine: &Engine, mut lease: Lease, watch: Watch, give_back: CancellationToken) {
    let job = match lease.job.take() {
        Some(job) => Ok(Some(*job)),
        None => engine.inner.ports.state.job(&lease.task.id.job).await,
    };
    let job = match job {
        Ok(Some(job)) => job,
        Ok(None) => return drop_task(engine, &lease).await,
        Err(e) => {
            tracing::warn!(task = %lease.task.id, error = %e, "a task's job cannot be read");
            engine.pause_for_outage(&give_back).await;
            return release(engine, &lease).await;
        }
    };
    let watch = Arc::new(watch);
    let done = tokio::select! {
        biased;
        () = give_back.cancelled() => None,
        done = run_step(engine, &job, &lease, watch.clone()) => match done {
            Ok(done) => Some(done),
            Err(NoRoom) => return give_back_until_room(engine, lease, &give_back).await,
        },
        ended = keep_alive(engine, &job, &lease, &watch) => {
            watch.stop();
            match ended {
                Ended::LeaseLost => return,
                Ended::Unwanted => Some(Done { happening: Happening::TaskUnwanted, publications: Vec::new() }),
                Ended::Stuck(error) => Some(Done { happening: Happening::TaskFailed(error), publications: Vec::new() }),
            }
        }
    };
    match done {
        Some(done) => settle(engine, lease, job, done).await,
        None => {
            watch.stop();
            release(engine, &lease).await;
        }
    }
}

/// The store took nothing new while a step ran.
struct NoRoom;

/// The claim does not count (Q5). Where the store seems to have room and yet refuses, the pause keeps this from spinning.
async fn give_back_until_room(engine: &Engine, lease: Lease, give_back: &CancellationToken) {
    tracing::debug!(task = %lease.task.id, "no room for what this task makes; it waits");
    release(engine, &lease).await;
    engine.pause_for_outage(give_back).await;
}

/// The step's outcome as a happening; tasks that nobody wants, and those that were claimed too often, run nothing.
async fn run_step(engine: &Engine, job: &Job, lease: &Lease, watch: Arc<Watch>) -> Result<Done, NoRoom> {
    let unwanted = job.status.is_terminal() || job.run != lease.task.id.run;
    if unwanted {
        return Ok(Done { happening: Happening::TaskUnwanted, publications: Vec::new() });
    }
    if lease.task.attempts > job.retry.attempts {
        return Ok(Done { happening: Happening::Exhausted, publications: Vec::new() });
    }
    let config = &engine.inner.config;
    let step = Step {
        ports: &engine.inner.ports,
        job,
        task: &lease.task,
        chunk_limits: config.chunk_limits,
        watch,
        default_bucket: &config.default_bucket,
        link_ttl: config.download_link_ttl,
    };
    match step.run().await {
        Ok(done) => Ok(done),
        Err(Stopped::Failed(e)) => Ok(Done { happening: Happening::TaskFailed(e), publications: Vec::new() }),
        Err(Stopped::NoRoom) => Err(NoRoom),
    }
}
