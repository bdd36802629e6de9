//! The suite of `StateStore`, by subject.

mod change_sets;
mod conditions;
mod durability;
mod events;
mod findings;
mod housekeeping;
mod leases;
mod publications;
mod queries;
mod reach;
mod records;

pub use change_sets::*;
pub use conditions::*;
pub use durability::*;
pub use events::*;
pub use findings::*;
pub use housekeeping::*;
pub use leases::*;
pub use publications::*;
pub use queries::*;
pub use reach::*;
pub use records::*;

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;

/// Commits `change` together with others that would hold, before and behind it, and sees it refused and nothing of
/// the set written.
async fn refuses_whole(backend: &Backend, change: impl Fn() -> Change) {
    refuses_whole_as(backend, change, |e| matches!(e, StateError::Conflict(_))).await;
}

async fn refuses_whole_as(backend: &Backend, change: impl Fn() -> Change, is_expected: fn(&StateError) -> bool) {
    let (before, behind) = (file("before", 1), file("behind", 1));
    for at in 0..3 {
        let mut changes = vec![new_file(before.clone()), Change::Emit(event(1)), new_file(behind.clone())];
        changes.insert(at, change());
        let seq = backend.state.last_event().await.expect("last event");
        let refused = backend.state.commit(ChangeSet { changes }, Durability::Synced).await;
        assert!(refused.as_ref().is_err_and(is_expected), "{:?}: {refused:?}", change());
        assert_eq!(backend.state.file(&before.id).await.expect("file"), None);
        assert_eq!(backend.state.file(&behind.id).await.expect("file"), None);
        assert_eq!(backend.state.last_event().await.expect("last event"), seq);
    }
}
