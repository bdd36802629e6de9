//! The system under test: one store, some engines, and the power switch.
//!
//! An engine dies by being dropped where it stands. On an embedded store all engines die with the store and what was
//! not synced may be lost; with a remote store one worker dies and the store goes on.

use crate::ledger::Ledger;
use crate::receivers::SimReceivers;
use crate::records::SimRecords;
use crate::scenario::Scenario;
use filemill_core::ports::Processor;
use filemill_engine::{Chance, Compute, Engine, Ports, Registry};
use filemill_memory::{MemoryStore, SimClock};
use rand::RngCore;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub struct Service {
    pub scenario: Scenario,
    pub store: Arc<MemoryStore>,
    pub receivers: Arc<SimReceivers>,
    clock: Arc<SimClock>,
    ledger: Mutex<Ledger>,
    engines: Mutex<Vec<Running>>,
    /// Engines started so far: each has its own name and chance.
    started: Mutex<u64>,
    /// Rises with each crash; clients of the time before are cut off.
    epoch: watch::Sender<u64>,
}

struct Running {
    engine: Engine,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub fn new(scenario: Scenario, keeps_trace: bool) -> Self {
        let clock = Arc::new(SimClock::new());
        let store = Arc::new(MemoryStore::new(clock.clone(), scenario.store_options(keeps_trace)));
        Service {
            receivers: Arc::new(SimReceivers::new(scenario.seed, scenario.is_calm())),
            scenario,
            store,
            clock,
            ledger: Mutex::default(),
            engines: Mutex::default(),
            started: Mutex::default(),
            epoch: watch::Sender::new(0),
        }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    pub fn make_engine(&self) -> Engine {
        let number = {
            let mut started = locked(&self.started);
            *started += 1;
            *started
        };
        let ports = Ports {
            blobs: self.store.clone(),
            state: self.store.clone(),
            queue: self.store.clone(),
            notifier: self.receivers.clone(),
            messages: self.store.clone(),
            clock: self.clock.clone(),
            processors: Registry::new(filemill_processors::ALL.iter().copied().chain([&SimRecords as &dyn Processor])),
            compute: Compute::Inline,
            chance: Chance::from_seed(self.scenario.chance_of(1000 + number).next_u64()),
        };
        let config = self.scenario.engine_config(format!("worker-{number}"));
        Engine::new(ports, config).expect("the scenario's rules fit the processors")
    }

    pub fn start_engine(&self) {
        let engine = self.make_engine();
        let stop = CancellationToken::new();
        let (run, token) = (engine.clone(), stop.clone());
        let task = tokio::spawn(async move { run.run(token).await });
        locked(&self.engines).push(Running { engine, stop, task });
    }

    pub fn start_engines(&self) {
        let missing = self.scenario.engines.saturating_sub(locked(&self.engines).len());
        (0..missing).for_each(|_| self.start_engine());
    }

    /// Any of the running engines, for a client's call.
    pub fn engine(&self, nth: usize) -> Option<Engine> {
        let engines = locked(&self.engines);
        let count = engines.len().max(1);
        engines.get(nth % count).map(|r| r.engine.clone())
    }

    /// Engines die where they stand; all of them and the store's memory with them, if they share a machine.
    pub async fn crash(&self) {
        let victims = {
            let mut engines = locked(&self.engines);
            let count = if self.scenario.local_workers { engines.len() } else { engines.len().min(1) };
            engines.drain(..count).collect::<Vec<_>>()
        };
        self.epoch.send_modify(|epoch| *epoch += 1);
        for victim in victims {
            victim.end().await;
        }
        if self.scenario.local_workers {
            // those that drain notice it now, before the next life begins
            tokio::task::yield_now().await;
            self.store.crash();
        }
        self.start_engines();
    }

    /// The oldest engine is told to stop and drains; another one starts meanwhile.
    pub async fn restart(&self) {
        let leaving = {
            let mut engines = locked(&self.engines);
            (!engines.is_empty()).then(|| engines.remove(0))
        };
        self.start_engines();
        if let Some(leaving) = leaving {
            self.drain(leaving).await;
        }
    }

    pub async fn stop_engines(&self) {
        let leaving: Vec<Running> = locked(&self.engines).drain(..).collect();
        for running in leaving {
            self.drain(running).await;
        }
    }

    /// An engine that shares the store's machine dies with it in the middle of its drain, too.
    async fn drain(&self, mut running: Running) {
        let mut epoch = self.epoch.subscribe();
        running.stop.cancel();
        tokio::select! {
            biased;
            _ = epoch.changed(), if self.scenario.local_workers => running.end().await,
            ended = &mut running.task => ended.expect("an engine drains without a panic"),
        }
    }

    /// Runs a client's call; `None` if the service went down meanwhile.
    pub async fn call<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut epoch = self.epoch.subscribe();
        tokio::select! {
            biased;
            _ = epoch.changed() => None,
            answer = call => Some(answer),
        }
    }
}

impl Running {
    /// It dies where it stands.
    async fn end(self) {
        self.task.abort();
        assert!(!self.task.await.is_err_and(|e| e.is_panic()), "an engine panicked");
    }
}
