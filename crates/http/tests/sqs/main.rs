//! The SQS door on a real socket, with a client that signs for itself and can send what no SDK would.

mod actions;
mod auth;
mod client;
mod orders;
mod patience;
mod query;
mod walk;
