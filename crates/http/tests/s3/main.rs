//! The S3 door over a real socket and the memory store: what it answers, what it refuses, what it never does.

mod auth;
mod browsers;
mod chunks;
mod conditions;
mod copies;
mod forms;
mod keys;
mod listings;
mod multipart;
mod patience;
mod reads;
mod support;
mod walk;
mod writes;
