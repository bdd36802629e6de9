//! CopyObject and UploadPartCopy. The source is pinned to the version that its conditions were decided on.
//!
//! A copied object shares its bytes with the source where the store can; a copied part is read and staged.

use super::attributes::Described;
use super::checksums::{Hasher, Summer};
use super::conditions::{ReadConditions, copy_condition, strong, timestamp};
use super::expectations::{Expectations, algorithm_named};
use super::outgoing::of_read;
use super::put::{Offered, Sums, address, check_version};
use super::visitor::{Visitor, of_write};
use super::{Door, errors};
use filemill_core::checksum::{ChecksumAlgorithm, ChecksumScope, Checksums};
use filemill_core::ids::KeyId;
use filemill_core::limits;
use filemill_core::object::{Attributes, BucketName, ObjectInfo, ObjectKey};
use filemill_core::ports::{MultipartRef, OpenObject, PutObject, Staged};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::io::{Read, Write};
use std::ops;
use std::sync::Arc;

pub async fn object(door: &Arc<Door>, req: S3Request<CopyObjectInput>) -> S3Result<S3Response<CopyObjectOutput>> {
    let condition = copy_condition(&req.headers)?;
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    check_offered(&input)?;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match.clone(),
        if_none_match: input.copy_source_if_none_match.clone(),
        if_modified_since: input.copy_source_if_modified_since.clone(),
        if_unmodified_since: input.copy_source_if_unmodified_since.clone(),
    };
    let (source, info) = find_source(door, &visitor, &input.copy_source, &conditions).await?;
    let replaces = Replaces::of(&input)?;
    if (source.0 == bucket && source.1 == key) && !replaces.metadata && !replaces.tags {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata or tags."
        ));
    }
    if info.size > door.object_bytes_max(&bucket) {
        return Err(errors::entity_too_large(door.object_bytes_max(&bucket)));
    }
    // the bytes may be shared, but who copies means to write
    errors::check_room(door.store.room(), 0)?;
    let wanted = input.checksum_algorithm.as_ref().map(|name| algorithm_named(name.as_str())).transpose()?;
    let checksums = checksums_of_copy(door, &source, &info, wanted).await?;
    let attributes = attributes_of_copy(input, &info, replaces, visitor.owner())?;
    let guarded = visitor.guard(door, &bucket, &key, &condition).await?;
    let put = PutObject { bucket, key, attributes, checksums, etag: Some(info.etag.clone()), condition: guarded };
    let copied = door.store.copy(put, (&source.0, &source.1), &info.etag).await;
    let copied = copied.map_err(|e| of_write(e, &condition))?;
    let sums = Sums::of(&copied.checksums);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.scope,
            e_tag: Some(strong(&copied.etag)),
            last_modified: Some(timestamp(copied.modified_at)),
        }),
        ..CopyObjectOutput::default()
    }))
}

fn check_offered(input: &CopyObjectInput) -> S3Result<()> {
    Offered {
        acl: input.acl.as_ref(),
        storage_class: input.storage_class.as_ref(),
        server_side_encryption: input.server_side_encryption.as_ref(),
        customer_key: input.sse_customer_algorithm.is_some() || input.copy_source_sse_customer_algorithm.is_some(),
        object_lock: input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some(),
        redirect: input.website_redirect_location.is_some(),
    }
    .check()
}

/// What the request replaces rather than copies.
#[derive(Clone, Copy)]
struct Replaces {
    metadata: bool,
    tags: bool,
}

impl Replaces {
    fn of(input: &CopyObjectInput) -> S3Result<Self> {
        Ok(Replaces {
            metadata: is_replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str))?,
            tags: is_replace(input.tagging_directive.as_ref().map(TaggingDirective::as_str))?,
        })
    }
}

fn is_replace(directive: Option<&str>) -> S3Result<bool> {
    match directive {
        None | Some("COPY") => Ok(false),
        Some("REPLACE") => Ok(true),
        Some(_) => Err(s3_error!(InvalidArgument, "A directive is COPY or REPLACE.")),
    }
}

fn attributes_of_copy(
    input: CopyObjectInput,
    info: &ObjectInfo,
    replaces: Replaces,
    owner: Option<KeyId>,
) -> S3Result<Attributes> {
    let described = Described {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        expires: input.expires,
        metadata: input.metadata,
        tagging: input.tagging,
    }
    .into_attributes(owner.clone())?;
    let source = Attributes { origin: None, owner, ..info.attributes.clone() };
    let tags = if replaces.tags { described.tags.clone() } else { source.tags.clone() };
    let rest = if replaces.metadata { described } else { source };
    Ok(Attributes { tags, ..rest })
}

pub type Address = (BucketName, ObjectKey);

async fn find_source(
    door: &Arc<Door>,
    visitor: &Visitor,
    source: &CopySource,
    conditions: &ReadConditions,
) -> S3Result<(Address, ObjectInfo)> {
    let CopySource::Bucket { bucket, key, version_id } = source else {
        return Err(s3_error!(NotImplemented, "A copy source is a bucket and a key."));
    };
    check_version(version_id.as_deref())?;
    let address = address(bucket, key)?;
    let info = visitor.head_source(door, &address.0, &address.1).await?;
    conditions.require(&info)?;
    Ok((address, info))
}

/// The copy has the source's checksums; another algorithm means reading the bytes once.
async fn checksums_of_copy(
    door: &Arc<Door>,
    source: &Address,
    info: &ObjectInfo,
    wanted: Option<ChecksumAlgorithm>,
) -> S3Result<Checksums> {
    let Some(algorithm) = wanted.filter(|algorithm| !info.checksums.values.contains_key(algorithm)) else {
        return Ok(info.checksums.clone());
    };
    let open = door.store.open(&source.0, &source.1, Some(&info.etag), None).await.map_err(errors::of_store)?;
    let turn = door.crews.clone().acquire_owned().await;
    let value = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut summer = Summer::new(algorithm);
        read_blocks(open, |block| {
            summer.update(block);
            Ok(())
        })?;
        Ok::<_, s3s::S3Error>(summer.finish())
    });
    let value = value.await.map_err(errors::of_join)??;
    Ok(Checksums { values: [(algorithm, value)].into(), scope: ChecksumScope::FullObject })
}

pub async fn part(door: &Arc<Door>, req: S3Request<UploadPartCopyInput>) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let number = super::multipart::part_number(input.part_number)?;
    let upload = MultipartRef { bucket, key, id: input.upload_id };
    let begun = visitor.multipart(door, &upload).await.map_err(errors::of_store)?;
    let conditions = ReadConditions {
        if_match: input.copy_source_if_match,
        if_none_match: input.copy_source_if_none_match,
        if_modified_since: input.copy_source_if_modified_since,
        if_unmodified_since: input.copy_source_if_unmodified_since,
    };
    let (source, info) = find_source(door, &visitor, &input.copy_source, &conditions).await?;
    let range = input.copy_source_range.map(|text| copy_range(&text, info.size)).transpose()?;
    let length = range.as_ref().map_or(info.size, |range| range.end - range.start);
    if length > limits::SINGLE_PUT_BYTES_MAX {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is larger than the maximum allowable size for a copy source: {}",
            limits::SINGLE_PUT_BYTES_MAX
        ));
    }
    errors::check_room(door.store.room(), length)?;
    let open = door.store.open(&source.0, &source.1, Some(&info.etag), range).await.map_err(errors::of_store)?;
    let computed = begun.attributes.checksum_choice.map(|choice| choice.algorithm);
    let (staged, verified) = restage(door, open, length, computed).await?;
    let part = door.store.put_part(&upload, number, staged, verified.etag, verified.checksums).await;
    let part = part.map_err(errors::of_store)?;
    let sums = Sums::of(&part.checksums);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            e_tag: Some(strong(&part.etag)),
            last_modified: Some(timestamp(part.modified_at)),
        }),
        ..UploadPartCopyOutput::default()
    }))
}

/// `bytes=first-last`, both given and inside the source.
fn copy_range(text: &str, size: u64) -> S3Result<ops::Range<u64>> {
    let invalid = || {
        s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
        )
    };
    let (first, last) = text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(invalid)?;
    let (first, last): (u64, u64) = (first.parse().map_err(|_| invalid())?, last.parse().map_err(|_| invalid())?);
    if first > last {
        return Err(invalid());
    }
    if last >= size {
        return Err(s3_error!(InvalidArgument, "Range specified is not valid for source object of size: {size}"));
    }
    Ok(first..last + 1)
}

async fn restage(
    door: &Arc<Door>,
    open: OpenObject,
    length: u64,
    computed: Option<ChecksumAlgorithm>,
) -> S3Result<(Staged, super::checksums::Verified)> {
    let turn = door.crews.clone().acquire_owned().await;
    let store = door.store.clone();
    let copying = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let mut writer = store.stage(Some(length)).map_err(errors::of_store)?;
        let mut hasher = Hasher::new(Expectations { computed, ..Expectations::default() }, length);
        read_blocks(open, |block| {
            hasher.update(block);
            writer.write_all(block).map_err(errors::of_stage)
        })?;
        let staged = writer.finish().map_err(errors::of_store)?;
        Ok((staged, hasher.finish(&[])?))
    });
    copying.await.map_err(errors::of_join)?
}

/// Blocking.
fn read_blocks(open: OpenObject, mut take: impl FnMut(&[u8]) -> S3Result<()>) -> S3Result<()> {
    let mut reader = open.body.into_reader();
    let mut block = vec![0; limits::IO_BLOCK_BYTES];
    loop {
        match reader.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(n) => take(&block[..n])?,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(errors::of_store(of_read(e))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_range_lies_inside_its_source() {
        assert_eq!(copy_range("bytes=0-9", 10).ok(), Some(0..10));
        for bad in ["bytes=0-10", "bytes=5-4", "bytes=-5", "bytes=5-", "0-9", "bytes=a-b"] {
            assert!(copy_range(bad, 10).is_err(), "{bad}");
        }
    }
}
