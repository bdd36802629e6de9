//! A key: what a program or a person shows to be let in. One secret for REST, a pair for S3, one role.
//!
//! Secrets are not stored: of the token its SHA-256 (it is 256 bits of chance, so nobody finds it from there), and the S3
//! secret is made anew each time from the service's master key.

use crate::access::{Place, Role, TenantName};
use crate::ids::KeyId;
use crate::message::MessageQueueName;
use crate::record::{RecordFields, RecordKind, Recorded};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What every token begins with, so that one that got lost is recognised.
pub const TOKEN_PREFIX: &str = "fmk_";

/// The parameter of a presigned link, and the field of a presigned form, that names the key that it was made for.
pub const LINK_KEY: &str = "x-filemill-key";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    pub id: KeyId,
    pub name: String,
    pub role: Role,
    /// None: the whole service.
    #[serde(default)]
    pub tenant: Option<TenantName>,
    /// None: no limit but the tenant's.
    #[serde(default)]
    pub limits: Vec<Place>,
    /// The message queues that it was given. An admin of the whole service has all, whatever stands here.
    #[serde(default)]
    pub queues: BTreeSet<MessageQueueName>,
    pub created_at: Timestamp,
    /// The name of the key that made it.
    pub created_by: String,
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
    /// [`token_digest`] of its token.
    pub token_sha256: String,
    pub access_key_id: String,
}

impl Key {
    pub fn opens_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// As stored and looked up: in hexadecimal.
pub fn token_digest(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

impl Recorded for Key {
    const KIND: RecordKind = RecordKind::Key;

    fn id(&self) -> &str {
        self.id.as_str()
    }

    /// A revoked one is found by no secret.
    fn fields(&self) -> RecordFields {
        let mut fields = RecordFields::new();
        fields.extend(self.tenant.as_ref().map(|tenant| ("tenant".to_owned(), tenant.to_string())));
        if self.revoked_at.is_none() {
            fields.insert("token".into(), self.token_sha256.clone());
            fields.insert("access_key".into(), self.access_key_id.clone());
            fields.insert("state".into(), "unrevoked".into());
        }
        fields
    }

    /// When it ended, or will: some time after that it is forgotten.
    fn due_at(&self) -> Option<Timestamp> {
        self.revoked_at.or(self.expires_at)
    }
}
