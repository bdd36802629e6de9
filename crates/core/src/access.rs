//! Who may do what: roles, what each of them may do, and how far somebody sees. Pure; doors ask, nobody else decides.
//!
//! A role says what somebody may do ([`Scope`]), a [`Reach`] to which objects and whose. Everything else follows from the
//! object: a file, a job, an upload and a result lie in a bucket, and a bucket belongs to one tenant.

use crate::audit::Actor;
use crate::ids::KeyId;
use crate::limits;
use crate::message::MessageQueueName;
use crate::object::BucketName;
use crate::rule::Name;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;

/// Whose bucket it is.
pub type TenantName = Name;

/// What the buckets belong to that name no tenant.
pub fn default_tenant() -> TenantName {
    TenantName::parse("default").expect("a good name")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sends files, and sees and removes what it sent and what became of it.
    Uploader,
    /// Sees all and changes nothing.
    Viewer,
    /// Sees all, and stops, repeats and repairs.
    Operator,
    Admin,
}

/// What something asks for. Routes name it in their `security`, operations of the S3 door in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Send files.
    Upload,
    /// See and download files, jobs, uploads and findings, and hear of them.
    Read,
    /// Remove files.
    Remove,
    /// Order archives.
    Archive,
    /// Send, receive and delete messages, in the message queues that it was given.
    Messages,
    /// Stop jobs.
    Cancel,
    /// Run jobs again, put dead letters back to work, and what else repairs.
    Operate,
    /// See rules and processors.
    Rules,
    /// See how work goes: dead letters, redrives, and what else an operator looks through.
    Inspect,
    /// See how the service does: figures that tell no tenant from another, so for nobody of a tenant.
    Monitor,
    /// Order what goes over whole buckets, whosever: backfill, reconcile. For nobody of a tenant.
    Maintain,
    /// See who ordered what.
    Audit,
    /// Make and revoke keys.
    Keys,
    /// Orders about the service as a whole, such as making buckets: for nobody of a tenant.
    Service,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::Uploader, Role::Viewer, Role::Operator, Role::Admin];

    /// The table of roles and scopes.
    pub fn may(self, scope: Scope) -> bool {
        use Role::*;
        match scope {
            Scope::Read => true,
            Scope::Upload | Scope::Remove | Scope::Archive => matches!(self, Uploader | Admin),
            Scope::Cancel | Scope::Messages => matches!(self, Uploader | Operator | Admin),
            Scope::Operate | Scope::Maintain => matches!(self, Operator | Admin),
            Scope::Rules | Scope::Inspect | Scope::Monitor => matches!(self, Viewer | Operator | Admin),
            Scope::Audit | Scope::Keys | Scope::Service => matches!(self, Admin),
        }
    }

    /// Whatever it may do, it may do to what it brought itself only.
    pub fn is_confined_to_its_own(self) -> bool {
        self == Role::Uploader
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Uploader => "uploader",
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl Scope {
    pub const ALL: [Scope; 14] = [
        Scope::Upload,
        Scope::Read,
        Scope::Remove,
        Scope::Archive,
        Scope::Messages,
        Scope::Cancel,
        Scope::Operate,
        Scope::Rules,
        Scope::Inspect,
        Scope::Monitor,
        Scope::Maintain,
        Scope::Audit,
        Scope::Keys,
        Scope::Service,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Upload => "upload",
            Scope::Read => "read",
            Scope::Remove => "remove",
            Scope::Archive => "archive",
            Scope::Messages => "messages",
            Scope::Cancel => "cancel",
            Scope::Operate => "operate",
            Scope::Rules => "rules",
            Scope::Inspect => "inspect",
            Scope::Monitor => "monitor",
            Scope::Maintain => "maintain",
            Scope::Audit => "audit",
            Scope::Keys => "keys",
            Scope::Service => "service",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Scope::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// What it shows or changes cannot be told apart by tenant.
    fn is_about_the_whole_service(self) -> bool {
        matches!(self, Scope::Monitor | Scope::Maintain | Scope::Service)
    }

    /// What it shows or changes cannot be told apart by bucket and key.
    fn is_about_a_whole_tenant(self) -> bool {
        matches!(self, Scope::Audit | Scope::Keys)
    }
}

/// A bucket, or the part of it whose keys begin with a prefix. As text: `bucket` or `bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub bucket: BucketName,
    /// Empty: the whole bucket.
    pub prefix: String,
}

impl Place {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (bucket, prefix) = text.split_once('/').unwrap_or((text, ""));
        let bucket = BucketName::parse(bucket).map_err(|e| e.to_string())?;
        if prefix.len() > limits::KEY_BYTES_MAX || prefix.contains('\0') {
            return Err(format!("no key begins with this: at most {} bytes without NUL", limits::KEY_BYTES_MAX));
        }
        Ok(Place { bucket, prefix: prefix.to_owned() })
    }

    pub fn takes(&self, bucket: &str, key: &str) -> bool {
        *self.bucket == *bucket && key.starts_with(&self.prefix)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix.as_str() {
            "" => f.write_str(&self.bucket),
            prefix => write!(f, "{}/{prefix}", self.bucket),
        }
    }
}

impl Serialize for Place {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Place::parse(&text).map_err(D::Error::custom)
    }
}

/// The tenants of the buckets that name one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenancy(BTreeMap<BucketName, TenantName>);

impl Tenancy {
    /// Of these buckets; a bucket that names no tenant is the default one's.
    pub fn new(named: impl IntoIterator<Item = (BucketName, TenantName)>) -> Self {
        Tenancy(named.into_iter().filter(|(_, tenant)| *tenant != default_tenant()).collect())
    }

    pub fn of(&self, bucket: &BucketName) -> TenantName {
        self.0.get(bucket).cloned().unwrap_or_else(default_tenant)
    }

    /// Has it any bucket?
    pub fn knows(&self, tenant: &TenantName) -> bool {
        *tenant == default_tenant() || self.buckets_of(tenant).next().is_some()
    }

    fn buckets_of(&self, tenant: &TenantName) -> impl Iterator<Item = &BucketName> {
        self.0.iter().filter(move |(_, owner)| *owner == tenant).map(|(bucket, _)| bucket)
    }
}

/// How far somebody sees: whose objects, and where. The default is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Only what this key brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<KeyId>,
    /// Only what lies in one of these places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<Place>>,
    /// Nothing that lies in these buckets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub never: Vec<BucketName>,
}

impl Reach {
    pub fn everything() -> Self {
        Reach::default()
    }

    pub fn nothing() -> Self {
        Reach { owner: None, only: Some(Vec::new()), never: Vec::new() }
    }

    /// Of a key of this tenant (none: the whole service) with these limits (none: no limit).
    pub fn of(owner: Option<KeyId>, tenant: Option<&TenantName>, limits: &[Place], tenancy: &Tenancy) -> Self {
        let limited = (!limits.is_empty()).then(|| limits.to_vec());
        let whole = |bucket: &BucketName| Place { bucket: bucket.clone(), prefix: String::new() };
        let Some(tenant) = tenant else { return Reach { owner, only: limited, never: Vec::new() } };
        if *tenant == default_tenant() {
            return Reach { owner, only: limited, never: tenancy.0.keys().cloned().collect() };
        }
        let own = |place: &Place| tenancy.of(&place.bucket) == *tenant;
        let only = match limited {
            Some(places) => places.into_iter().filter(own).collect(),
            None => tenancy.buckets_of(tenant).map(whole).collect(),
        };
        Reach { owner, only: Some(only), never: Vec::new() }
    }

    pub fn is_everything(&self) -> bool {
        *self == Reach::default()
    }

    /// Is this object within?
    pub fn takes(&self, bucket: &str, key: &str, owner: Option<&KeyId>) -> bool {
        self.owns(owner) && self.covers(bucket, key)
    }

    /// As far as it is a question of whose it is.
    pub fn owns(&self, owner: Option<&KeyId>) -> bool {
        self.owner.as_ref().is_none_or(|own| owner == Some(own))
    }

    /// As far as it is a question of where it lies.
    pub fn covers(&self, bucket: &str, key: &str) -> bool {
        self.only.as_ref().is_none_or(|places| places.iter().any(|place| place.takes(bucket, key)))
            && !self.never.iter().any(|never| **never == *bucket)
    }

    /// May anything of the bucket be within?
    pub fn touches(&self, bucket: &str) -> bool {
        self.only.as_ref().is_none_or(|places| places.iter().any(|place| *place.bucket == *bucket))
            && !self.never.iter().any(|never| **never == *bucket)
    }

    /// The prefixes of keys within, in a bucket that is touched; `None`: all keys.
    pub fn prefixes_in(&self, bucket: &str) -> Option<Vec<&str>> {
        let places = self.only.as_ref()?.iter().filter(|place| *place.bucket == *bucket);
        let prefixes: Vec<&str> = places.map(|place| place.prefix.as_str()).collect();
        (!prefixes.contains(&"")).then_some(prefixes)
    }
}

/// Which message queues somebody sees. They belong to no tenant: whoever gives a key gives them by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueReach {
    All,
    Only(BTreeSet<MessageQueueName>),
}

impl QueueReach {
    pub fn takes(&self, queue: &MessageQueueName) -> bool {
        match self {
            QueueReach::All => true,
            QueueReach::Only(queues) => queues.contains(queue),
        }
    }
}

/// Somebody who was recognised, with what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    pub actor: Actor,
    pub role: Role,
    pub reach: Reach,
    /// By bucket or prefix, within the tenant.
    pub is_limited: bool,
    pub queues: QueueReach,
}

impl Principal {
    /// The service itself: duties that nobody ordered.
    pub fn service() -> Self {
        Principal::unlimited(Actor::service())
    }

    /// Whoever holds the service's own credentials.
    pub fn unlimited(actor: Actor) -> Self {
        let (reach, queues) = (Reach::everything(), QueueReach::All);
        Principal { actor, role: Role::Admin, reach, is_limited: false, queues }
    }

    pub fn may(&self, scope: Scope) -> bool {
        let is_of_a_part = self.is_limited || self.actor.tenant.is_some();
        self.role.may(scope)
            && !(is_of_a_part && scope.is_about_the_whole_service())
            && !(self.is_limited && scope.is_about_a_whole_tenant())
    }

    /// Nobody gives rights in a tenant that they have none in.
    pub fn may_give_rights_in(&self, tenant: Option<&TenantName>) -> bool {
        self.actor.tenant.is_none() || self.actor.tenant.as_ref() == tenant
    }
}

impl Deref for Principal {
    type Target = Actor;

    fn deref(&self) -> &Actor {
        &self.actor
    }
}

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;
