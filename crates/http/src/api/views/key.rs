//! A key as clients see it: once with its secrets, when they are made, and ever after without.

use filemill_core::access::{Place, Role, TenantName};
use filemill_core::ids::KeyId;
use filemill_core::key::Key;
use filemill_core::message::MessageQueueName;
use filemill_core::time::Timestamp;
use filemill_engine::KeyTicket;
use serde::Serialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// What lets a program or a person in.
#[derive(Serialize, ToSchema)]
#[schema(as = Key, example = json!({
    "id": "key_01h455vb4pex5vsknk084sn02q", "name": "scanner in the mail room", "role": "uploader", "tenant": "acme",
    "limits": ["acme-in/scans/"], "queues": [], "access_key_id": "FMK0C2F1D9A86B3E7F45", "created_at": "2026-11-20T12:00:00.012Z",
    "created_by": "admin", "expires_at": "2027-06-01T00:00:00.000Z", "revoked_at": null,
}))]
pub struct KeyView {
    #[schema(value_type = String)]
    pub id: KeyId,
    pub name: String,
    #[schema(value_type = RoleView)]
    pub role: Role,
    /// Null: the whole service.
    #[schema(value_type = Option<String>)]
    pub tenant: Option<TenantName>,
    /// Buckets, or parts of them; empty: no limit but the tenant's.
    #[schema(value_type = Vec<String>)]
    pub limits: Vec<Place>,
    /// The message queues that it was given.
    #[schema(value_type = Vec<String>)]
    pub queues: BTreeSet<MessageQueueName>,
    /// Of its S3 pair.
    pub access_key_id: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// The name of the key that made it.
    pub created_by: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
}

/// A key with its secrets. They are told this once; keep them.
#[derive(Serialize, ToSchema)]
#[schema(as = KeySecrets)]
pub struct KeySecretsView {
    #[serde(flatten)]
    pub key: KeyView,
    /// For REST: `authorization: Bearer TOKEN`.
    pub token: String,
    /// For S3, with `access_key_id`.
    pub secret_access_key: Option<String>,
}

/// `uploader` sends files and sees its own; `viewer` sees all; `operator` also cancels, retries and redrives; `admin` may
/// do everything.
#[derive(ToSchema)]
#[schema(as = Role, rename_all = "snake_case")]
#[allow(dead_code, reason = "names the values in the OpenAPI document")]
pub enum RoleView {
    Uploader,
    Viewer,
    Operator,
    Admin,
}

impl From<Key> for KeyView {
    fn from(key: Key) -> Self {
        KeyView {
            id: key.id,
            name: key.name,
            role: key.role,
            tenant: key.tenant,
            limits: key.limits,
            queues: key.queues,
            access_key_id: key.access_key_id,
            created_at: key.created_at,
            created_by: key.created_by,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
        }
    }
}

impl From<KeyTicket> for KeySecretsView {
    fn from(ticket: KeyTicket) -> Self {
        let KeyTicket { key, token, s3 } = ticket;
        KeySecretsView { key: key.into(), token, secret_access_key: s3.map(|pair| pair.secret_access_key) }
    }
}
