//! The doors: the S3 protocol, the SQS protocol on the same port, and the REST API with its live feed. Each parses a request into a typed wish, asks the
//! engine or the blob store, and maps the answer back to HTTP.
//!
//! No decision about files, jobs or tasks is made here, and nothing is stored.

pub mod api;
mod lock;
mod message_metrics;
pub mod metrics;
mod pace;
pub mod s3;
pub mod serve;
mod signature;
mod sqs;

pub use api::{ApiConfig, ApiDoor};
pub use pace::Rates;
