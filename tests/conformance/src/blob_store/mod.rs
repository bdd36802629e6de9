//! The suite of `BlobStore`, by subject.

mod announcements;
mod buckets;
mod conditions;
mod durability;
mod links;
mod listing;
mod multipart;
mod objects;
mod parts;
mod reading;
mod room;
mod scrubbing;
mod staging;

pub use announcements::*;
pub use buckets::*;
pub use conditions::*;
pub use durability::*;
pub use links::*;
pub use listing::*;
pub use multipart::*;
pub use objects::*;
pub use parts::*;
pub use reading::*;
pub use room::*;
pub use scrubbing::*;
pub use staging::*;
