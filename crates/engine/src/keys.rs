//! Keys: made, listed, revoked, exchanged, and recognised at the doors.
//!
//! A secret leaves the service once, with the answer that made it. Every change of a key is in the audit log.

use crate::Engine;
use crate::error::CommandError;
use crate::key_cache::Lookup;
use crate::sweeper::Swept;
use filemill_core::access::{Place, Principal, QueueReach, Reach, Role, Scope, TenantName};
use filemill_core::audit::Actor;
use filemill_core::ids::KeyId;
use filemill_core::key::{Key, TOKEN_PREFIX, token_digest};
use filemill_core::limits;
use filemill_core::message::MessageQueueName;
use filemill_core::object::BucketName;
use filemill_core::ports::{Change, ChangeSet, Durability, Page, StateError};
use filemill_core::record::{Record, RecordKind, RecordQuery, Recorded, Revised};
use filemill_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// Names that the service's own entries in the audit log have.
const RESERVED: [&str; 2] = ["admin", "filemill"];
/// An access key id is this and so many digits of the hex kind, upper case: 20 characters, as S3 clients expect.
const ACCESS_KEY_START: &str = "FMK";
const ACCESS_KEY_DIGITS: usize = 17;

/// What the S3 secrets of all keys are made from. Never printed.
#[derive(Clone)]
pub struct MasterKey(pub [u8; 32]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey")
    }
}

impl MasterKey {
    /// 256 bits in hexadecimal, which needs quoting nowhere.
    fn s3_secret(&self, access_key_id: &str) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        mac.update(b"filemill s3 secret\0");
        mac.update(access_key_id.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

/// A wish for a key, parsed at the door.
pub struct NewKey {
    pub name: String,
    pub role: Role,
    /// `None`: the tenant of who asks.
    pub tenant: Option<TenantName>,
    pub limits: Vec<Place>,
    /// They need not be there yet.
    pub queues: BTreeSet<MessageQueueName>,
    pub expires_at: Option<Timestamp>,
}

/// A key with its secrets: told once, stored nowhere.
pub struct KeyTicket {
    pub key: Key,
    pub token: String,
    pub s3: Option<KeyPair>,
}

#[derive(Clone)]
pub struct KeyPair {
    pub access_key_id: String,
    pub secret_access_key: String,
}

#[derive(Clone, Debug, Default)]
pub struct KeysQuery {
    pub after: Option<KeyId>,
    pub limit: u32,
}

impl Engine {
    /// `chance` is 256 bits that nobody can guess.
    pub async fn create_key(&self, who: &Principal, new: NewKey, chance: [u8; 32]) -> Result<KeyTicket, CommandError> {
        let tenant = new.tenant.clone().or_else(|| who.tenant.clone());
        self.check_key(who, &new, tenant.as_ref())?;
        self.check_room_for_keys().await?;
        let now = self.now();
        let id = KeyId::new(now, self.inner.ports.chance.bytes());
        let key = Key {
            id,
            name: new.name,
            role: new.role,
            tenant,
            limits: new.limits,
            queues: new.queues,
            created_at: now,
            created_by: who.name.clone(),
            expires_at: new.expires_at,
            revoked_at: None,
            token_sha256: String::new(),
            access_key_id: String::new(),
        };
        let ticket = self.with_secrets(key, chance);
        self.put_key(who, "key.create", Revised { rev: 1, value: ticket.key.clone() }).await?;
        Ok(ticket)
    }

    fn check_key(&self, who: &Principal, new: &NewKey, tenant: Option<&TenantName>) -> Result<(), CommandError> {
        let is_plain = !new.name.is_empty() && new.name.trim() == new.name && !new.name.chars().any(char::is_control);
        if !is_plain || new.name.chars().count() > limits::KEY_NAME_CHARS_MAX {
            let message = format!("use 1 to {} characters", limits::KEY_NAME_CHARS_MAX);
            return Err(CommandError::invalid("name", message));
        }
        if RESERVED.contains(&new.name.as_str()) {
            let message = format!("{:?} is the service's own name; choose another", new.name);
            return Err(CommandError::invalid("name", message));
        }
        if new.expires_at.is_some_and(|end| end <= self.now()) {
            return Err(CommandError::invalid("expires_at", "this time is past"));
        }
        if let Some(name) = tenant.filter(|name| !who.may_give_rights_in(Some(name)) || !self.inner.tenancy.knows(name))
        {
            return Err(CommandError::invalid("tenant", format!("no bucket belongs to tenant {name}")));
        }
        if new.limits.len() > limits::KEY_PLACES_MAX {
            let message = format!("at most {} places", limits::KEY_PLACES_MAX);
            return Err(CommandError::invalid("limits", message));
        }
        if new.queues.len() > limits::KEY_QUEUES_MAX {
            let message = format!("at most {} message queues", limits::KEY_QUEUES_MAX);
            return Err(CommandError::invalid("queues", message));
        }
        if !new.queues.is_empty() && !who.may(Scope::Service) {
            let message = "message queues belong to no tenant and no bucket: an admin of the whole service gives them";
            return Err(CommandError::invalid("queues", message));
        }
        let is_foreign = |place: &&Place| tenant.is_some_and(|own| self.inner.tenancy.of(&place.bucket) != *own);
        match new.limits.iter().find(is_foreign) {
            Some(place) => {
                let message = format!("{} is no bucket of this key's tenant", place.bucket);
                Err(CommandError::invalid("limits", message))
            }
            None => Ok(()),
        }
    }

    async fn check_room_for_keys(&self) -> Result<(), CommandError> {
        let unrevoked = RecordQuery::of(RecordKind::Key).with("state", Some("unrevoked"));
        if self.inner.ports.state.record_count(&unrevoked).await? < limits::KEYS_MAX {
            return Ok(());
        }
        let message = format!("there are {} keys already; revoke some", limits::KEYS_MAX);
        Err(CommandError::Conflict { code: "too_many_keys", message })
    }

    /// The key with secrets made of `chance`, and they themselves.
    fn with_secrets(&self, key: Key, chance: [u8; 32]) -> KeyTicket {
        let token = format!("{TOKEN_PREFIX}{}", hex::encode(chance));
        let token_sha256 = token_digest(&token);
        // named by the digest of a digest: it says nothing of the token
        let access_key_id =
            format!("{ACCESS_KEY_START}{}", token_digest(&token_sha256)[..ACCESS_KEY_DIGITS].to_uppercase());
        let secret = self.s3_secret_of(&access_key_id);
        let s3 = secret.map(|secret| KeyPair { access_key_id: access_key_id.clone(), secret_access_key: secret });
        KeyTicket { key: Key { token_sha256, access_key_id, ..key }, token, s3 }
    }

    /// Newest first: those of the tenant of who asks.
    pub async fn keys(&self, who: &Principal, query: &KeysQuery) -> Result<Page<Key>, CommandError> {
        let records = RecordQuery {
            after: query.after.as_ref().map(ToString::to_string),
            limit: query.limit,
            ..RecordQuery::of(RecordKind::Key)
        };
        let records = records.with("tenant", who.tenant.as_ref().map(ToString::to_string));
        let Page { items, more } = self.read_records::<Key>(&records).await?;
        Ok(Page { items: items.into_iter().map(|key| key.value).collect(), more })
    }

    pub async fn key(&self, who: &Principal, id: &KeyId) -> Result<Key, CommandError> {
        Ok(self.revised_key(who, id).await?.value)
    }

    async fn revised_key(&self, who: &Principal, id: &KeyId) -> Result<Revised<Key>, CommandError> {
        let record = self.inner.ports.state.record(RecordKind::Key, id.as_str()).await?;
        let key = record.map(read).transpose()?;
        let key = key.filter(|key| who.may_give_rights_in(key.value.tenant.as_ref()));
        key.ok_or_else(|| CommandError::not_found("key", id))
    }

    /// It opens nothing more, and what it has open here is closed. Revoking twice changes nothing.
    pub async fn revoke_key(&self, who: &Principal, id: &KeyId) -> Result<Key, CommandError> {
        let revoked = |key: Key, now| Key { revoked_at: Some(now), ..key };
        match self.change_key(who, id, "key.revoke", revoked).await {
            Err(CommandError::Conflict { code: "key_revoked", .. }) => self.key(who, id).await,
            done => done,
        }
    }

    /// New secrets for the same key; the old ones open nothing more. Who gets them has the key, so nobody exchanges what they
    /// could not give.
    pub async fn rotate_key(&self, who: &Principal, id: &KeyId, chance: [u8; 32]) -> Result<KeyTicket, CommandError> {
        let key = self.key(who, id).await?;
        if !key.queues.is_empty() && !who.may(Scope::Service) {
            let message = format!("key {id} has message queues: an admin of the whole service exchanges its secrets");
            return Err(CommandError::Conflict { code: "key_has_queues", message });
        }
        let ticket = self.with_secrets(key, chance);
        let (digest, access_key_id) = (ticket.key.token_sha256.clone(), ticket.key.access_key_id.clone());
        let rotated = |key: Key, _| Key { token_sha256: digest.clone(), access_key_id: access_key_id.clone(), ..key };
        let key = self.change_key(who, id, "key.rotate", rotated).await?;
        Ok(KeyTicket { key, ..ticket })
    }

    async fn change_key(
        &self,
        who: &Principal,
        id: &KeyId,
        action: &str,
        change: impl Fn(Key, Timestamp) -> Key,
    ) -> Result<Key, CommandError> {
        for _ in 0..limits::DECISIONS_MAX {
            let Revised { rev, value } = self.revised_key(who, id).await?;
            if value.revoked_at.is_some() {
                let message = format!("key {id} is revoked; make a new one");
                return Err(CommandError::Conflict { code: "key_revoked", message });
            }
            let changed = change(value, self.now());
            match self.put_key(who, action, Revised { rev: rev + 1, value: changed.clone() }).await {
                Ok(()) => return Ok(changed),
                Err(CommandError::Conflict { .. }) => continue,
                Err(e) => return Err(e),
            }
        }
        Err(CommandError::Conflict { code: "conflict", message: format!("key {id} changes too fast; try again") })
    }

    async fn put_key(&self, who: &Principal, action: &str, key: Revised<Key>) -> Result<(), CommandError> {
        let Revised { rev, value: key } = key;
        let detail = json!({
            "name": key.name, "role": key.role, "limits": key.limits, "queues": key.queues, "expires_at": key.expires_at,
        });
        let told = if action == "key.create" { detail } else { json!({ "name": key.name }) };
        let changes = ChangeSet::new().with(Change::PutRecord(Box::new(key.record(rev)))).with(self.audited_for(
            who,
            key.tenant.clone(),
            action,
            &key.id,
            told,
        ));
        let committed = self.inner.ports.state.commit(changes, Durability::Synced).await;
        // also where the reply was lost
        self.inner.keys.forget();
        committed?;
        Ok(())
    }

    /// Whose token it is, if it opens anything now.
    pub async fn principal_of_token(&self, token: &str) -> Result<Option<Principal>, CommandError> {
        self.principal(Lookup::Token(token_digest(token))).await
    }

    /// Whose access key it is, if it opens anything now.
    pub async fn principal_of_access_key(&self, id: &str) -> Result<Option<Principal>, CommandError> {
        // what is not of our making is not looked up: a record is found by prefixes too
        let is_digit = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
        let is_ours = |rest: &str| rest.len() == ACCESS_KEY_DIGITS && rest.bytes().all(is_digit);
        if !id.strip_prefix(ACCESS_KEY_START).is_some_and(is_ours) {
            return Ok(None);
        }
        self.principal(Lookup::AccessKey(id.to_owned())).await
    }

    pub async fn principal_of_key(&self, id: &KeyId) -> Result<Option<Principal>, CommandError> {
        self.principal(Lookup::Id(id.to_string())).await
    }

    /// The key as it is now, if it opens anything. Another token than before: it was exchanged.
    pub async fn open_key(&self, id: &KeyId) -> Result<Option<Arc<Key>>, CommandError> {
        let now = self.now();
        let lookup = Lookup::Id(id.to_string());
        let key = match self.inner.keys.find(&lookup, now) {
            Some(key) => Some(key),
            None => self.look_up(lookup, now).await?,
        };
        Ok(key.filter(|key| key.opens_at(now)))
    }

    /// The secret of a key's S3 pair; everybody's, known or not.
    pub fn s3_secret_of(&self, access_key_id: &str) -> Option<String> {
        self.inner.config.master_key.as_ref().map(|master| master.s3_secret(access_key_id))
    }

    /// Tells of every change of a key in this process.
    pub fn key_changes(&self) -> watch::Receiver<u64> {
        self.inner.keys.changes()
    }

    async fn principal(&self, lookup: Lookup) -> Result<Option<Principal>, CommandError> {
        let now = self.now();
        let key = match self.inner.keys.find(&lookup, now) {
            Some(key) => Some(key),
            None => self.look_up(lookup, now).await?,
        };
        Ok(key.filter(|key| key.opens_at(now)).map(|key| self.principal_for(&key)))
    }

    async fn look_up(&self, lookup: Lookup, now: Timestamp) -> Result<Option<Arc<Key>>, StateError> {
        let generation = self.inner.keys.generation();
        let by = |field, value: &String| RecordQuery::of(RecordKind::Key).with(field, Some(value.clone()));
        let state = &self.inner.ports.state;
        let record = match &lookup {
            Lookup::Id(id) => state.record(RecordKind::Key, id).await?,
            Lookup::Token(digest) => state.records(&by("token", digest)).await?.items.pop(),
            Lookup::AccessKey(id) => state.records(&by("access_key", id)).await?.items.pop(),
        };
        let key = record.map(read).transpose()?.map(|key| Arc::new(key.value));
        if let Some(key) = &key {
            self.inner.keys.keep(lookup, key.clone(), generation, now);
        }
        Ok(key)
    }

    fn principal_for(&self, key: &Key) -> Principal {
        let actor =
            Actor { name: key.name.clone(), address: None, key: Some(key.id.clone()), tenant: key.tenant.clone() };
        let reach = Reach::of(confined_to(key), key.tenant.as_ref(), &key.limits, &self.inner.tenancy);
        let queues = QueueReach::Only(key.queues.clone());
        let who = Principal { actor, role: key.role, reach, is_limited: !key.limits.is_empty(), queues };
        let queues = if who.may(Scope::Service) { QueueReach::All } else { who.queues };
        Principal { queues, ..who }
    }

    /// What a job may read that is made from what this key brought to this bucket: what the key may, revoked or not,
    /// within the bucket's tenant. A key that is forgotten may nothing.
    pub(crate) async fn reader_for(&self, owner: Option<&KeyId>, bucket: &BucketName) -> Result<Reach, StateError> {
        let tenancy = &self.inner.tenancy;
        let tenant = tenancy.of(bucket);
        let Some(owner) = owner else { return Ok(Reach::of(None, Some(&tenant), &[], tenancy)) };
        let (lookup, now) = (Lookup::Id(owner.to_string()), self.now());
        let key = match self.inner.keys.find(&lookup, now) {
            Some(key) => Some(key),
            None => self.look_up(lookup, now).await?,
        };
        let Some(key) = key.filter(|key| key.tenant.as_ref().is_none_or(|own| *own == tenant)) else {
            return Ok(Reach::nothing());
        };
        Ok(Reach::of(confined_to(&key), Some(&tenant), &key.limits, tenancy))
    }

    /// Keys that ended long ago are forgotten.
    pub(crate) async fn forget_old_keys(&self) -> Result<Swept, CommandError> {
        let before = self.now().minus(limits::KEY_KEPT);
        let mut forgotten = 0;
        for record in self.inner.ports.state.due_records(RecordKind::Key, before, limits::SWEEP_BATCH).await? {
            let Record { kind, id, rev, .. } = record;
            let changes = ChangeSet::new().with(Change::RemoveRecord { kind, id, rev });
            match self.inner.ports.state.commit(changes, Durability::Lazy).await {
                Ok(_) => forgotten += 1,
                Err(StateError::Conflict(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Swept::after(forgotten, limits::SWEEP_BATCH))
    }
}

fn confined_to(key: &Key) -> Option<KeyId> {
    key.role.is_confined_to_its_own().then(|| key.id.clone())
}

fn read(record: Record) -> Result<Revised<Key>, StateError> {
    record.read().map_err(StateError::Corrupt)
}
