//! One file per rule. Each has `complaints(&Tree)`: one line per breach, with the place and what to do about it.

pub mod arrows;
pub mod commands;
pub mod dependencies;
pub mod durable;
pub mod growth;
pub mod headers;
pub mod links;
pub mod log_fields;
pub mod markers;
pub mod names;
pub mod pages;
pub mod places;
pub mod printing;
pub mod proofs;
pub mod purity;
