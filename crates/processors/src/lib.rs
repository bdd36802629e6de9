//! What can be done to a file: one file each, and [`ALL`], the one list that names them.
//!
//! A processor sees bytes and gives bytes. It knows nothing of stores, jobs or retries.

pub mod lines_prefix;
mod options;
#[cfg(test)]
mod suite;

use filemill_core::ports::Processor;

/// Every processor. To add one: a file beside this one, and a line here.
pub static ALL: &[&dyn Processor] = &[&lines_prefix::LinesPrefix];
