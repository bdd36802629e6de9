//! The listing is the ledger: buckets compared with the records of their files, and what announcements missed made good.
//!
//! One run at a time in this process, on a schedule or because somebody asked; several processes at once are harmless,
//! because repairs are the steps of ingest and guarded as those are. What looks wrong is looked at again after a settle
//! time, so that announcements under way are not taken for lost, and nothing that was deleted meanwhile comes back.

mod board;
mod run;

pub use board::{ReconcileRun, ReconcileStatus};
pub use run::{Difference, ReconcileReport, ReconcileScope};

use crate::Engine;
use crate::error::CommandError;
pub(crate) use board::Board;
use filemill_core::audit::Actor;
use filemill_core::ports::{ChangeSet, Durability};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// Runs when asked for, and by the schedule, until `stop`.
pub(crate) async fn run(engine: &Engine, stop: CancellationToken) {
    let board = &engine.inner.reconcile;
    // a run that somebody asks for moves no run of the schedule
    let mut due = Box::pin(engine.pause_before_reconcile());
    loop {
        let scope = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            scope = board.asked() => scope,
            () = &mut due => {
                due = Box::pin(engine.pause_before_reconcile());
                if !board.begin_by_schedule(engine.now()) {
                    continue;
                }
                ReconcileScope::default()
            }
        };
        let report = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            report = engine.reconcile(&scope, |so_far| board.tell(so_far)) => report,
        };
        if let Err(e) = &report {
            tracing::warn!(error = %e, "buckets could not be compared with their files");
        }
        board.end(report, engine.now());
    }
}

impl Engine {
    /// Asks for a run and answers at once; [`Engine::reconcile_run`] tells how it goes. `Conflict` where one waits already.
    pub async fn ask_reconcile(&self, actor: &Actor, scope: ReconcileScope) -> Result<ReconcileRun, CommandError> {
        if let Some(bucket) = &scope.bucket
            && self.inner.ports.blobs.bucket(bucket).await?.is_none()
        {
            return Err(CommandError::not_found("bucket", bucket));
        }
        let audited = (!scope.is_dry_run).then(|| {
            let target = scope.bucket.as_ref().map_or("all buckets", |bucket| bucket.as_str());
            self.audited(actor, "reconcile", target, Value::Null)
        });
        let run = self.inner.reconcile.ask(scope, self.now())?;
        if let Some(audited) = audited {
            self.commit(ChangeSet::new().with(audited), Durability::Synced).await?;
        }
        Ok(run)
    }

    /// The newest run of this process, asked for or by the schedule.
    pub fn reconcile_run(&self) -> Option<ReconcileRun> {
        self.inner.reconcile.newest()
    }

    async fn pause_before_reconcile(&self) {
        match self.inner.config.reconcile.every {
            Some(every) => self.inner.ports.clock.sleep(every).await,
            None => std::future::pending().await,
        }
    }
}
