//! Whatever Filemill sends out goes through here: a small HTTP client that reaches public addresses only, unless the
//! operator has listed others.
//!
//! Every address that a name resolves to is checked, and only checked addresses are connected to. No redirect is
//! followed, no proxy of the environment is used, no credential may stand in a URL. It knows nothing of jobs.

mod address;
mod client;
mod endpoint;
mod guard;

pub use address::{Reserved, reserved};
pub use client::{Exchange, Outbound, OutboundError, OutboundLimits, Request, Response, Verdict};
pub use endpoint::Endpoint;
pub use guard::{Allowed, Guard, Refused};
