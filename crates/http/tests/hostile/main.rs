//! Generated hostile input to everything that the doors parse: ten thousand requests of each kind, a million with
//! `FILEMILL_TEST_GATE=1`. Each gets an answer that is no 5xx, within a second and 64 MiB; nothing panics; and a good
//! request still works.
//!
//! A hostile request is a good one with a few changes. Where a signature stands in front of a parser, it is made after
//! the changes, so that the parser is reached.

mod api;
mod hearing;
mod manifests;
mod s3;
#[path = "../s3/support.rs"]
#[expect(dead_code, reason = "the client of the S3 tests can do more than is needed here")]
mod s3_client;
#[path = "../api/service.rs"]
#[expect(dead_code, reason = "the service of the REST tests can do more than is needed here")]
mod service;
mod spoiler;
mod sqs;
#[path = "../sqs/client.rs"]
#[expect(dead_code, reason = "the client of the SQS tests can do more than is needed here")]
mod sqs_client;
mod wire;
