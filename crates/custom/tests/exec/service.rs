//! A service that can be killed: it runs one command that never ends, in a process of its own.

use super::bench::{Calm, run_chunk, transform};
use filemill_core::ports::{Chunk, InputFacts};
use serde_json::Map;
use std::ffi::OsString;
use std::io;

pub const NAME: &str = "service";

/// `service SCRATCH SCRIPT`
pub fn main(args: impl Iterator<Item = OsString>) -> i32 {
    let args: Vec<String> = args.map(|arg| arg.into_string().expect("text")).collect();
    let [scratch, script] = &args[..] else { return 2 };
    let transform = transform(scratch.as_ref(), &["/bin/sh", "-c", script], "", &Map::new());
    let facts = InputFacts { key: "k", size: 0, content_type: None, etag: None };
    let ran = run_chunk(&*transform, &Chunk::whole(facts), &mut io::empty(), &mut io::sink(), &Calm);
    i32::from(ran.is_err())
}
