//! PutObject: bytes, verified, become an object in one durable step.

use super::attributes::Described;
use super::conditions::{strong, write_condition};
use super::upload::UploadSlot;
use super::visitor::{Visitor, of_write};
use super::{Door, errors, intake};
use filemill_core::checksum::{ChecksumAlgorithm, ChecksumScope, Checksums};
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{Durability, PutObject};
use s3s::dto::{ChecksumType, ObjectCannedACL, PutObjectInput, PutObjectOutput, ServerSideEncryption, StorageClass};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

pub async fn put_object(door: &Arc<Door>, mut req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
    let upload = UploadSlot::take(&mut req.extensions)?;
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    Offered {
        acl: input.acl.as_ref(),
        storage_class: input.storage_class.as_ref(),
        server_side_encryption: input.server_side_encryption.as_ref(),
        customer_key: input.sse_customer_algorithm.is_some() || input.sse_customer_key.is_some(),
        object_lock: input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some(),
        redirect: input.website_redirect_location.is_some(),
    }
    .check()?;
    if input.write_offset_bytes.is_some() {
        return Err(s3_error!(NotImplemented, "Appending to objects is not offered."));
    }
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let condition = write_condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let guarded = visitor.guard(door, &bucket, &key, &condition).await?;
    let attributes = Described {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        expires: input.expires,
        metadata: input.metadata,
        tagging: input.tagging,
    }
    .into_attributes(visitor.owner())?;
    let taken = intake::take(door, &bucket, upload).await?;
    let put = PutObject {
        bucket,
        key,
        attributes,
        checksums: taken.checksums.clone(),
        etag: Some(taken.etag),
        condition: guarded,
    };
    let put = door.store.put(put, taken.staged, Durability::Synced).await;
    let info = put.map_err(|e| of_write(e, &condition))?;
    let sums = Sums::of(&taken.checksums);
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(strong(&info.etag)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        ..PutObjectOutput::default()
    }))
}

pub fn address(bucket: &str, key: &str) -> S3Result<(BucketName, ObjectKey)> {
    let key = ObjectKey::parse(key).map_err(|e| errors::of_name(&e))?;
    Ok((bucket_name(bucket)?, key))
}

pub fn bucket_name(bucket: &str) -> S3Result<BucketName> {
    BucketName::parse(bucket).map_err(|e| errors::of_name(&e))
}

/// Every object has one version, S3's `null`.
pub fn check_version(version_id: Option<&str>) -> S3Result<()> {
    match version_id {
        None | Some("" | "null") => Ok(()),
        Some(_) => {
            Err(s3_error!(NoSuchVersion, "The specified version does not exist; buckets here are not versioned."))
        }
    }
}

/// Asked-for features. What is not offered is refused rather than silently not done.
pub struct Offered<'a> {
    pub acl: Option<&'a ObjectCannedACL>,
    pub storage_class: Option<&'a StorageClass>,
    pub server_side_encryption: Option<&'a ServerSideEncryption>,
    pub customer_key: bool,
    pub object_lock: bool,
    pub redirect: bool,
}

impl Offered<'_> {
    pub fn check(&self) -> S3Result<()> {
        if self.acl.is_some_and(|acl| !matches!(acl.as_str(), "private" | "bucket-owner-full-control")) {
            return Err(s3_error!(AccessControlListNotSupported, "Objects here have no ACLs; use presigned URLs."));
        }
        if self.storage_class.is_some_and(|class| class.as_str() != "STANDARD") {
            return Err(s3_error!(InvalidStorageClass, "The only storage class is STANDARD."));
        }
        if self.server_side_encryption.is_some() || self.customer_key {
            return Err(s3_error!(NotImplemented, "Server-side encryption is not offered."));
        }
        if self.object_lock {
            return Err(s3_error!(InvalidRequest, "Bucket is missing Object Lock Configuration"));
        }
        if self.redirect {
            return Err(s3_error!(NotImplemented, "Website redirects are not offered."));
        }
        Ok(())
    }
}

/// Checksums as the fields that S3's answers have for them.
#[derive(Default)]
pub struct Sums {
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
    pub scope: Option<ChecksumType>,
}

impl Sums {
    pub fn of(checksums: &Checksums) -> Self {
        if checksums.is_empty() {
            return Sums::default();
        }
        let value = |algorithm| checksums.values.get(&algorithm).cloned();
        Sums {
            crc32: value(ChecksumAlgorithm::Crc32),
            crc32c: value(ChecksumAlgorithm::Crc32c),
            crc64nvme: value(ChecksumAlgorithm::Crc64nvme),
            sha1: value(ChecksumAlgorithm::Sha1),
            sha256: value(ChecksumAlgorithm::Sha256),
            scope: Some(scope_name(checksums.scope)),
        }
    }
}

pub fn scope_name(scope: ChecksumScope) -> ChecksumType {
    ChecksumType::from_static(match scope {
        ChecksumScope::FullObject => ChecksumType::FULL_OBJECT,
        ChecksumScope::Composite => ChecksumType::COMPOSITE,
    })
}
