//! The REST door, driven as a client drives it, over an engine on the memory adapter: each route good and bad.

mod archives;
mod audit;
mod auth;
mod backfills;
mod dead_letters;
mod deliveries;
mod doors;
mod feeds;
mod feeds_of_tenants;
mod files;
mod findings;
mod idempotency;
mod jobs;
mod keys;
mod log;
mod operation;
mod reconcile;
mod rejects;
mod service;
mod strictness;
mod uploads;
mod walk;
