//! What was asked for, what runs and what came of the newest run. In memory: a run that a restart took is run again.

use super::run::{ReconcileReport, ReconcileScope};
use crate::error::CommandError;
use filemill_core::time::Timestamp;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReconcileStatus {
    /// Asked for; the one before it is not done yet.
    Waiting,
    Running,
    Done,
    /// With the reason; the next run starts from the beginning.
    Failed(String),
}

#[derive(Clone, Debug)]
pub struct ReconcileRun {
    pub status: ReconcileStatus,
    pub scope: ReconcileScope,
    pub asked_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// So far, while it runs.
    pub report: ReconcileReport,
}

#[derive(Default)]
pub(crate) struct Board {
    runs: Mutex<Runs>,
    asked: Notify,
}

#[derive(Default)]
struct Runs {
    waiting: Option<ReconcileRun>,
    newest: Option<ReconcileRun>,
}

impl Board {
    pub(super) fn ask(&self, scope: ReconcileScope, now: Timestamp) -> Result<ReconcileRun, CommandError> {
        let mut runs = self.runs();
        if runs.waiting.is_some() {
            let message = "a run was asked for and has not begun; look at it with GET /v1/reconcile".to_owned();
            return Err(CommandError::Conflict { code: "reconcile_waiting", message });
        }
        let run = new_run(ReconcileStatus::Waiting, scope, now);
        runs.waiting = Some(run.clone());
        self.asked.notify_one();
        Ok(run)
    }

    /// The next run that somebody asked for, begun.
    pub(super) async fn asked(&self) -> ReconcileScope {
        loop {
            if let Some(run) = self.runs().begin_waiting() {
                return run;
            }
            self.asked.notified().await;
        }
    }

    /// False where somebody asked meanwhile: that run comes first.
    pub(super) fn begin_by_schedule(&self, now: Timestamp) -> bool {
        let mut runs = self.runs();
        if runs.waiting.is_some() {
            return false;
        }
        runs.newest = Some(new_run(ReconcileStatus::Running, ReconcileScope::default(), now));
        true
    }

    pub(super) fn tell(&self, so_far: &ReconcileReport) {
        if let Some(run) = &mut self.runs().newest {
            run.report = so_far.clone();
        }
    }

    pub(super) fn end(&self, outcome: Result<ReconcileReport, CommandError>, now: Timestamp) {
        let mut runs = self.runs();
        let Some(run) = &mut runs.newest else { return };
        run.ended_at = Some(now);
        match outcome {
            Ok(report) => {
                run.report = report;
                run.status = ReconcileStatus::Done;
            }
            Err(e) => run.status = ReconcileStatus::Failed(e.to_string()),
        }
    }

    pub(super) fn newest(&self) -> Option<ReconcileRun> {
        let runs = self.runs();
        runs.waiting.clone().or_else(|| runs.newest.clone())
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    fn begin_waiting(&mut self) -> Option<ReconcileScope> {
        let run = self.waiting.take()?;
        let scope = run.scope.clone();
        self.newest = Some(ReconcileRun { status: ReconcileStatus::Running, ..run });
        Some(scope)
    }
}

fn new_run(status: ReconcileStatus, scope: ReconcileScope, now: Timestamp) -> ReconcileRun {
    ReconcileRun { status, scope, asked_at: now, ended_at: None, report: ReconcileReport::default() }
}
