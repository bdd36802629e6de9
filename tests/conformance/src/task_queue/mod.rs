//! The suite of `TaskQueue`, by subject.

mod bell;
mod leases;
mod limits;
mod order;

pub use bell::*;
pub use leases::*;
pub use limits::*;
pub use order::*;
