//! The audit log: who ordered what, and when. An entry is stored in the same commit as what was ordered, so that none is
//! missing and none tells of what did not happen.

use crate::access::TenantName;
use crate::ids::{AuditId, KeyId};
use crate::ports::Change;
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// Who orders something, as the door knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name of the key that was shown.
    pub name: String,
    /// Where the order came from, if a network was between.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// None: the service's own credentials.
    #[serde(default)]
    pub key: Option<KeyId>,
    /// The key's; none: the whole service.
    #[serde(default)]
    pub tenant: Option<TenantName>,
}

impl Actor {
    /// The service itself: duties that nobody ordered.
    pub fn service() -> Self {
        Actor::named("filemill")
    }

    /// By the service's own credentials.
    pub fn named(name: &str) -> Self {
        Actor { name: name.into(), address: None, key: None, tenant: None }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    pub actor: Actor,
    /// Noun and verb: `dead.redrive`, `job.cancel`.
    pub action: String,
    /// The id or name of what it was done to.
    pub target: String,
    /// What else was said, as far as it is no secret.
    #[serde(default)]
    pub detail: Value,
    /// Whom it concerns; none: the whole service.
    #[serde(default)]
    pub tenant: Option<TenantName>,
}

/// An object or a file record that the listing made good. Nobody ordered it; alarms count these.
pub const REPAIRED: &str = "reconcile.repair";

impl AuditEntry {
    /// To be committed with what it tells of.
    pub fn change(&self) -> Change {
        Change::PutRecord(Box::new(self.record(1)))
    }
}

impl Recorded for AuditEntry {
    const KIND: RecordKind = RecordKind::Audit;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn fields(&self) -> RecordFields {
        let fields = [("actor", &self.actor.name), ("action", &self.action), ("target", &self.target)];
        let mut fields: RecordFields = fields.map(|(name, value)| (name.to_owned(), value.clone())).into();
        fields.extend(self.tenant.as_ref().map(|tenant| ("tenant".to_owned(), tenant.to_string())));
        fields
    }
}
