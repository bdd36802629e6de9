//! What clients see, as JSON. Each view is made from the engine's own type here and nowhere else, so that the public
//! shapes change only on purpose.

mod alarm;
mod audit;
mod backfill;
mod catalog;
mod checkup;
mod damage;
mod dead_letter;
mod delivery;
mod feed;
mod file;
mod finding;
mod job;
mod key;
mod problem;
mod queue;
mod reconcile;
mod upload;

pub use alarm::{AlarmChangeView, AlarmView};
pub use audit::AuditEntryView;
pub use backfill::{BackfillCountView, BackfillView};
pub use catalog::{ExplanationView, ProcessorView, RuleView};
pub use checkup::CheckupView;
pub use damage::DamageView;
pub use dead_letter::{CountView, DeadLetterGroupView, DeadLetterStatusView, DeadLetterView, RedriveView};
pub use delivery::DeliveryView;
pub use feed::{LiveEventView, TicketView};
pub use file::{FileView, LinkView};
pub use finding::{FindingSummaryView, FindingView};
pub use job::{JobStatusView, JobView};
pub use key::{KeySecretsView, KeyView, RoleView};
pub use problem::{FieldError, ProblemView};
pub use queue::QueueView;
pub use reconcile::ReconcileView;
pub use upload::{UploadLinksView, UploadModeView, UploadView};

use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list. `next_cursor` is null on the last page; otherwise give it back as `cursor`.
#[derive(Serialize, ToSchema)]
#[schema(as = List)]
pub struct ListView<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}

impl<T> ListView<T> {
    /// A list that is always answered whole.
    pub fn whole(items: Vec<T>) -> Self {
        ListView { items, next_cursor: None }
    }
}
