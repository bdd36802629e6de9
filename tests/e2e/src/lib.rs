//! The stage for scenarios: starts the real binary, speaks to its public doors, and compares with independent references.
//!
//! Knows nothing of Filemill's crates: addresses, credentials and the public contract are all it has; crash tests read
//! the state file's tables too. A scenario that needs a tool or a right that is not here says so loudly; with
//! `FILEMILL_TEST_ALL=1` that is a failure.

pub mod aftermath;
pub mod aws;
pub mod binary;
pub mod commands;
pub mod example;
pub mod feed;
pub mod http;
pub mod inputs;
pub mod job;
pub mod launch;
pub mod ledger;
pub mod linear;
pub mod load;
pub mod logs;
pub mod power;
pub mod reference;
pub mod rounds;
pub mod s3;
pub mod service;
pub mod stage;
pub mod tools;
pub mod trace;

pub use commands::Ran;
pub use example::Example;
pub use http::Reply;
pub use job::Job;
pub use launch::Launch;
pub use service::Service;
pub use stage::Stage;
pub use tools::{Tool, tool};
