//! Seeded whole-system runs: the real engine on the memory adapter, with faults, crashes and outside checkers.
//!
//! One seed decides everything: configuration, workload, faults and when engines die. Time is simulated, one thread
//! runs all of it, and the same seed gives the same trace. The checkers look from outside: at what clients were told
//! and at what the store holds, never at the engine's own opinion.

pub mod checks;
mod client;
mod ledger;
mod letters;
mod operator;
mod receivers;
mod records;
mod run;
mod scenario;
mod service;

pub use ledger::{Ledger, Outcome};
pub use run::{Report, run};
pub use scenario::Scenario;
