//! An entry of the audit log as clients see it.

use filemill_core::access::TenantName;
use filemill_core::audit::{Actor, AuditEntry};
use filemill_core::ids::{AuditId, KeyId};
use filemill_core::time::Timestamp;
use serde::Serialize;
use std::net::IpAddr;
use utoipa::ToSchema;

/// Who ordered what, and when.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry, example = json!({
    "id": "aud_01h455vb4pex5vsknk084sn02q", "at": "2026-11-20T12:00:00.012Z", "actor": "admin", "key": null, "tenant": null, "address": "127.0.0.1",
    "action": "job.cancel", "target": "job_01h455vb4pex5vsknk084sn02q", "detail": null,
}))]
pub struct AuditEntryView {
    #[schema(value_type = String)]
    pub id: AuditId,
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The name of the key that was used.
    pub actor: String,
    /// The key itself; null: the service's own credentials.
    #[schema(value_type = Option<String>)]
    pub key: Option<KeyId>,
    /// Whom it concerns; null: the whole service.
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantName>,
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// Noun and verb.
    pub action: String,
    /// The id or name of what it was done to.
    pub target: String,
    /// What else was said.
    pub detail: serde_json::Value,
}

impl From<AuditEntry> for AuditEntryView {
    fn from(entry: AuditEntry) -> Self {
        let AuditEntry { id, at, actor, action, target, detail, tenant } = entry;
        let Actor { name, address, key, .. } = actor;
        AuditEntryView { id, at, actor: name, key, tenant, address, action, target, detail }
    }
}
