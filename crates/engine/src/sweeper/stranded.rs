//! Open jobs without a task. The invariant says that there are none; if a bug or a damaged store made one, it goes on.

use super::Swept;
use crate::Engine;
use crate::error::CommandError;
use filemill_core::job::Job;
use filemill_core::lifecycle::{self, Decision, Happening, Snapshot};
use filemill_core::limits;
use filemill_core::ports::{Durability, StateError};
use std::collections::BTreeSet;

pub(super) async fn revive_stranded_jobs(engine: &Engine) -> Result<Swept, CommandError> {
    let mut revived = 0;
    for job in engine.inner.ports.state.stranded_jobs(limits::SWEEP_BATCH).await? {
        let happening = Happening::Stranded { chunks: chunks_without_record(engine, &job).await? };
        let snapshot = Snapshot { job: &job, held: None, chunk_recorded: false };
        let decision = lifecycle::decide(snapshot, happening, engine.now(), 0);
        if let Decision::Commit { changes, .. } = decision {
            match engine.commit(changes, Durability::Lazy).await {
                Ok(_) => {
                    revived += 1;
                    metrics::counter!("filemill_jobs_revived_total").increment(1);
                    tracing::warn!(job = %job.id, "job had no task and got one");
                }
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    Ok(Swept::after(revived, limits::SWEEP_BATCH))
}

/// The first few of the chunks that were begun.
async fn chunks_without_record(engine: &Engine, job: &Job) -> Result<Vec<u32>, StateError> {
    let recorded = engine.inner.ports.state.chunks(&job.id, job.run).await?;
    let recorded: BTreeSet<u32> = recorded.into_iter().map(|chunk| chunk.index).collect();
    let missing = (0..job.chunks_planned).filter(|index| !recorded.contains(index));
    Ok(missing.take(limits::CHUNK_WINDOW as usize).collect())
}
