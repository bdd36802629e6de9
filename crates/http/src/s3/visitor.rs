//! Who is at the door, what they may do here, and whose the objects are that they touch.
//!
//! The service's own key pair may do everything. A link that it signed acts for the key that it names: what is sent by it is
//! that key's, and it dies with it. What is not theirs is not there: the same answer, whether it exists or not.

use super::{Door, errors, precheck};
use crate::serve::PeerAddress;
use filemill_core::access::{Principal, Scope};
use filemill_core::audit::Actor;
use filemill_core::ids::KeyId;
use filemill_core::object::{BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{BlobConflict, BlobError, Missing, MultipartInfo, MultipartRef, Precondition};
use filemill_engine::CommandError;
use http::Extensions;
use s3s::path::S3Path;
use s3s::{S3Error, S3Result, s3_error};
use serde_json::Value;
use std::sync::Arc;

/// The name of who holds the service's own key pair.
pub(crate) const OWN: &str = "admin";

/// Somebody with a key pair. Who they say they are is true only once their signature was verified.
#[derive(Clone)]
pub struct Visitor {
    pub who: Arc<Principal>,
    pub secret_access_key: String,
    /// A link of the service's own was checked when it was made.
    by_link: bool,
}

impl Door {
    /// `link_key`: the key that a link of the service's own names.
    pub async fn recognise(&self, access_key_id: &str, link_key: Option<&str>) -> S3Result<Visitor> {
        if let Some(pair) = self.credentials.iter().find(|pair| pair.access_key_id == access_key_id) {
            let secret_access_key = pair.secret_access_key.clone();
            let (who, by_link) = match link_key {
                None => (Principal::unlimited(Actor::named(OWN)), false),
                Some(key) => (self.holder_of_link(key).await?, true),
            };
            return Ok(Visitor { who: Arc::new(who), secret_access_key, by_link });
        }
        let engine = self.engine.as_ref().ok_or_else(precheck::unknown_key)?;
        let who = engine.principal_of_access_key(access_key_id).await.map_err(of_command)?;
        let known = who.zip(engine.s3_secret_of(access_key_id)).ok_or_else(precheck::unknown_key)?;
        Ok(Visitor { who: Arc::new(known.0), secret_access_key: known.1, by_link: false })
    }

    pub fn admit(&self, visitor: &Visitor) -> S3Result<()> {
        self.pace.admit_pair(&visitor.who).map_err(|over| errors::too_often(&over))
    }

    async fn holder_of_link(&self, key: &str) -> S3Result<Principal> {
        let over = || s3_error!(AccessDenied, "The key that this link was made for opens nothing any more.");
        let (engine, key) = self.engine.as_ref().zip(KeyId::parse(key)).ok_or_else(over)?;
        engine.principal_of_key(&key).await.map_err(of_command)?.ok_or_else(over)
    }
}

fn of_command(e: CommandError) -> S3Error {
    match e {
        CommandError::Unavailable(source) | CommandError::Full(source) => {
            errors::of_store(BlobError::Unavailable(source))
        }
        e => {
            tracing::error!(error = %e, "a key cannot be looked up, or no audit entry be written");
            s3_error!(InternalError, "We encountered an internal error. Please try again.")
        }
    }
}

/// What an operation asks for. One that is not here is for the service's own key pair alone.
fn scope_of(operation: &str) -> Option<Scope> {
    Some(match operation {
        "GetObject" | "HeadObject" | "GetObjectAttributes" | "GetObjectTagging" | "GetObjectAcl" => Scope::Read,
        "GetObjectLegalHold" | "GetObjectRetention" | "GetObjectLockConfiguration" => Scope::Read,
        "ListObjects" | "ListObjectsV2" | "ListMultipartUploads" | "ListParts" | "ListBuckets" => Scope::Read,
        "HeadBucket" | "GetBucketLocation" | "GetBucketVersioning" | "GetBucketAcl" => Scope::Read,
        "GetBucketAccelerateConfiguration" | "GetBucketLogging" | "GetBucketNotificationConfiguration" => Scope::Read,
        "GetBucketRequestPayment" | "GetBucketCors" | "GetBucketEncryption" => Scope::Read,
        "GetBucketLifecycleConfiguration" | "GetBucketOwnershipControls" | "GetBucketPolicy" => Scope::Read,
        "GetBucketReplication" | "GetBucketTagging" | "GetBucketWebsite" | "GetPublicAccessBlock" => Scope::Read,
        "PutObject" | "PostObject" | "CopyObject" | "PutObjectTagging" | "DeleteObjectTagging" => Scope::Upload,
        "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" | "CompleteMultipartUpload" => Scope::Upload,
        "AbortMultipartUpload" => Scope::Upload,
        "DeleteObject" | "DeleteObjects" => Scope::Remove,
        "CreateBucket" | "DeleteBucket" => Scope::Service,
        _ => return None,
    })
}

impl Visitor {
    /// Of a request that was let in.
    pub fn of(extensions: &Extensions) -> S3Result<Self> {
        extensions.get::<Visitor>().cloned().ok_or_else(denied)
    }

    /// Where they come from.
    pub fn at(mut self, address: Option<&PeerAddress>) -> Self {
        Arc::make_mut(&mut self.who).actor.address = address.map(|peer| peer.0);
        self
    }

    /// Writes into the audit log what they are about to do, `at` a bucket or to the service. No commit holds both, so the
    /// entry goes before.
    pub async fn note(
        &self,
        door: &Door,
        at: Option<&BucketName>,
        action: &str,
        target: &str,
        detail: Value,
    ) -> S3Result<()> {
        let Some(engine) = &door.engine else { return Ok(()) };
        engine.note(&self.who, at, action, target, detail).await.map_err(of_command)
    }

    /// Does what [`note`](Self::note) announces. If nothing comes of it, the log says so too.
    pub async fn noted<T>(
        &self,
        door: &Door,
        at: Option<&BucketName>,
        (action, target): (&str, &str),
        detail: Value,
        act: impl Future<Output = Result<T, BlobError>>,
    ) -> S3Result<Result<T, BlobError>> {
        let Some(engine) = &door.engine else { return Ok(act.await) };
        engine.noted(&self.who, at, action, target, detail, act).await.map_err(of_command)
    }

    /// Whose the things are that are sent.
    pub fn owner(&self) -> Option<KeyId> {
        self.who.key.clone()
    }

    /// May they begin this? Whose the object is, its own room asks.
    pub fn check(&self, operation: &str, path: &S3Path) -> S3Result<()> {
        if self.by_link || self.is_unlimited() {
            return Ok(());
        }
        let scope = scope_of(operation).filter(|scope| self.who.may(*scope)).ok_or_else(denied)?;
        match path {
            S3Path::Root => Ok(()),
            S3Path::Bucket { bucket } => self.check_bucket(bucket),
            S3Path::Object { bucket, key } => self.check_object(scope, bucket, key),
        }
    }

    fn is_unlimited(&self) -> bool {
        self.who.key.is_none()
    }

    /// Nobody learns of buckets that are not theirs.
    pub fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        if self.who.reach.touches(bucket) {
            Ok(())
        } else {
            Err(errors::of_store(BlobError::NotFound(Missing::Bucket)))
        }
    }

    fn check_object(&self, scope: Scope, bucket: &str, key: &str) -> S3Result<()> {
        self.check_bucket(bucket)?;
        match scope {
            _ if self.covers(bucket, key) => Ok(()),
            Scope::Read => Err(errors::of_store(BlobError::NotFound(Missing::Object))),
            _ => Err(denied()),
        }
    }

    /// Is this key theirs to use, whosever the object under it is?
    pub fn covers(&self, bucket: &str, key: &str) -> bool {
        self.by_link || self.who.reach.covers(bucket, key)
    }

    /// A listing begins with one of the prefixes that they are limited to.
    pub fn check_listing(&self, bucket: &str, prefix: &str) -> S3Result<()> {
        match self.who.reach.prefixes_in(bucket) {
            Some(prefixes) if !prefixes.iter().any(|own| prefix.starts_with(own)) => Err(denied()),
            _ => Ok(()),
        }
    }

    /// The object, if it is theirs to see.
    pub async fn head(&self, door: &Door, bucket: &BucketName, key: &ObjectKey) -> S3Result<ObjectInfo> {
        let info = door.store.head(bucket, key).await.map_err(errors::of_store)?;
        if self.owns(&info) { Ok(info) } else { Err(errors::of_store(BlobError::NotFound(Missing::Object))) }
    }

    /// What a copy reads: under the rules of reading, whatever else it does.
    pub async fn head_source(&self, door: &Door, bucket: &BucketName, key: &ObjectKey) -> S3Result<ObjectInfo> {
        if !self.is_unlimited() {
            self.check_bucket(bucket)?;
            if !self.who.reach.covers(bucket, key) {
                return Err(errors::of_store(BlobError::NotFound(Missing::Object)));
            }
        }
        self.head(door, bucket, key).await
    }

    pub fn owns(&self, info: &ObjectInfo) -> bool {
        self.who.reach.owns(info.attributes.owner.as_ref())
    }

    /// The multipart upload, if it is theirs.
    pub async fn multipart(&self, door: &Door, upload: &MultipartRef) -> Result<MultipartInfo, BlobError> {
        let begun = door.store.multipart(upload).await?;
        let is_theirs = self.who.reach.owns(begun.attributes.owner.as_ref());
        if is_theirs { Ok(begun) } else { Err(BlobError::NotFound(Missing::Upload)) }
    }

    /// The condition under which a write replaces nothing that is another's.
    pub async fn guard(
        &self,
        door: &Door,
        bucket: &BucketName,
        key: &ObjectKey,
        condition: &Precondition,
    ) -> S3Result<Precondition> {
        if self.who.reach.owner.is_none() {
            return Ok(condition.clone());
        }
        match (door.store.head(bucket, key).await, condition) {
            (Ok(info), _) if !self.owns(&info) => Err(denied()),
            (Ok(info), Precondition::None) => Ok(Precondition::IfSequencer(info.sequencer)),
            (Ok(info), Precondition::IfMatch(etag)) if info.etag == *etag => {
                Ok(Precondition::IfSequencer(info.sequencer))
            }
            (Err(BlobError::NotFound(Missing::Object)), Precondition::None) => Ok(Precondition::IfAbsent),
            (Ok(_) | Err(BlobError::NotFound(Missing::Object)), other) => Ok(other.clone()),
            (Err(e), _) => Err(errors::of_store(e)),
        }
    }
}

/// A refused write: one that asked for no condition lost a race under a [guard](Visitor::guard).
pub fn of_write(e: BlobError, asked: &Precondition) -> S3Error {
    let lost = matches!(e, BlobError::Conflict(BlobConflict::Precondition) | BlobError::NotFound(Missing::Object));
    if lost && *asked == Precondition::None {
        return s3_error!(OperationAborted, "A conflicting operation is in progress on this object. Please try again.");
    }
    errors::of_store(e)
}

fn denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the door answers has a scope, so that no operation is open to the service's own pair alone by mistake.
    #[test]
    fn every_operation_of_the_table_has_a_scope() {
        let table = include_str!("operations.rs");
        let names = table.lines().filter_map(|line| line.trim().split_once("Input) ->")?.0.split_once('('));
        let names: Vec<&str> = names.map(|(_, name)| name).collect();
        assert!(names.len() > 40, "{names:?}");
        for name in names {
            assert!(scope_of(name).is_some(), "{name} has no scope: add it to scope_of");
        }
        assert_eq!(scope_of("PutBucketPolicy"), None);
    }
}
