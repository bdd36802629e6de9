//! Seeded whole-system runs: the real engine on the memory adapter, with faults, crashes and outside checkers.
//!
//! Of a seeded run one seed decides everything: configuration, workload, faults and when engines die. Time is
//! simulated, one thread runs all of it, and the same seed gives the same trace. The checkers look from outside: at
//! what clients were told and at what the store holds, never at the engine's own opinion. In a [`cluster`] the faults
//! are the test's own, and counted.

pub mod checks;
mod client;
pub mod cluster;
mod ledger;
mod letters;
mod operator;
mod receivers;
mod records;
mod run;
mod scenario;
mod service;
mod slow_reads;

pub use ledger::{Ledger, Outcome};
pub use run::{Met, Report, run};
pub use scenario::{Scenario, bucket};
pub use slow_reads::SlowReads;
