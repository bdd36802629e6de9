//! Rules about the source itself, each a pure function from the tree to its complaints.
//!
//! The tests of this crate hold the repository against every rule; each rule's own tests show that it can fail. Nothing
//! here builds, runs or changes anything, and nothing needs the network.

pub mod rules;
pub mod text;
pub mod tree;

pub use tree::Tree;
