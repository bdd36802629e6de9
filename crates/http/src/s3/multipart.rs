//! Multipart uploads: begin, parts, abort, and their listings. Completion has its own file.

use super::attributes::Described;
use super::buckets::owner;
use super::conditions::{strong, timestamp};
use super::expectations::{algorithm_named, name_of};
use super::list::Encoding;
use super::put::{Offered, Sums, address, bucket_name, scope_name};
use super::upload::UploadSlot;
use super::visitor::Visitor;
use super::{Door, errors, intake};
use filemill_core::checksum::{ChecksumAlgorithm as Algorithm, ChecksumChoice, ChecksumScope};
use filemill_core::limits;
use filemill_core::ports::{BeginMultipart, ListMultiparts, MultipartInfo, MultipartRef, PartInfo};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

pub async fn create(
    door: &Arc<Door>,
    req: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    Offered {
        acl: input.acl.as_ref(),
        storage_class: input.storage_class.as_ref(),
        server_side_encryption: input.server_side_encryption.as_ref(),
        customer_key: input.sse_customer_algorithm.is_some(),
        object_lock: input.object_lock_mode.is_some() || input.object_lock_legal_hold_status.is_some(),
        redirect: input.website_redirect_location.is_some(),
    }
    .check()?;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let choice = checksum_choice(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let mut attributes = Described {
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
    attributes.checksum_choice = choice;
    errors::check_room(door.store.room(), 0)?;
    let id = door.store.begin_multipart(BeginMultipart { bucket, key, attributes }).await.map_err(errors::of_store)?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: choice.map(|choice| ChecksumAlgorithm::from_static(name_of(choice.algorithm))),
        checksum_type: choice.map(|choice| scope_name(choice.scope)),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// CRC64NVME exists for full objects only, the SHAs for composites only; the other CRCs for both.
pub fn checksum_choice(
    algorithm: Option<&ChecksumAlgorithm>,
    scope: Option<&ChecksumType>,
) -> S3Result<Option<ChecksumChoice>> {
    let Some(algorithm) = algorithm.filter(|name| !name.as_str().is_empty()) else {
        return match scope {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let algorithm = algorithm_named(algorithm.as_str())?;
    let scope = match scope.map(ChecksumType::as_str) {
        None if algorithm == Algorithm::Crc64nvme => ChecksumScope::FullObject,
        None | Some(ChecksumType::COMPOSITE) => ChecksumScope::Composite,
        Some(ChecksumType::FULL_OBJECT) => ChecksumScope::FullObject,
        Some(_) => return Err(s3_error!(InvalidRequest, "Value for x-amz-checksum-type header is invalid.")),
    };
    let impossible = match scope {
        ChecksumScope::FullObject => matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256),
        ChecksumScope::Composite => algorithm == Algorithm::Crc64nvme,
    };
    if impossible {
        return Err(s3_error!(
            InvalidRequest,
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            scope_name(scope).as_str(),
            name_of(algorithm)
        ));
    }
    Ok(Some(ChecksumChoice { algorithm, scope }))
}

pub fn part_number(number: i32) -> S3Result<u32> {
    let number = u32::try_from(number).ok().filter(|number| (1..=limits::PARTS_MAX).contains(number));
    number.ok_or_else(|| {
        s3_error!(InvalidArgument, "Part number must be an integer between 1 and {}, inclusive", limits::PARTS_MAX)
    })
}

pub async fn upload_part(
    door: &Arc<Door>,
    mut req: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let mut upload = UploadSlot::take(&mut req.extensions)?;
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let number = part_number(input.part_number)?;
    let reference = MultipartRef { bucket, key, id: input.upload_id };
    // asked before the body is read, so that a stale id costs no transfer
    let begun = visitor.multipart(door, &reference).await.map_err(errors::of_store)?;
    if let Some(choice) = begun.attributes.checksum_choice {
        match upload.expectations.algorithm() {
            None => upload.expectations.computed = Some(choice.algorithm),
            Some(given) if given == choice.algorithm => {}
            Some(given) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                    name_of(choice.algorithm),
                    name_of(given)
                ));
            }
        }
    }
    let taken = intake::take(door, &reference.bucket, upload).await?;
    let part = door.store.put_part(&reference, number, taken.staged, Some(taken.etag), taken.checksums).await;
    let part = part.map_err(errors::of_store)?;
    let sums = Sums::of(&part.checksums);
    Ok(S3Response::new(UploadPartOutput {
        e_tag: Some(strong(&part.etag)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        ..UploadPartOutput::default()
    }))
}

pub async fn abort(
    door: &Arc<Door>,
    req: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    let upload = MultipartRef { bucket, key, id: req.input.upload_id };
    Visitor::of(&req.extensions)?.multipart(door, &upload).await.map_err(errors::of_store)?;
    door.store.abort_multipart(&upload).await.map_err(errors::of_store)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub async fn list_parts(door: &Arc<Door>, req: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let upload = MultipartRef { bucket, key, id: input.upload_id.clone() };
    let begun = visitor.multipart(door, &upload).await.map_err(errors::of_store)?;
    let marker = u32::try_from(input.part_number_marker.unwrap_or(0)).map_err(|_| negative("part-number-marker"))?;
    let page = page_size(input.max_parts, "max-parts")?;
    // one more than asked for tells whether there is more
    let mut parts = door.store.parts(&upload, marker, page + 1).await.map_err(errors::of_store)?;
    let more = parts.len() > page as usize;
    parts.truncate(page as usize);
    let last = parts.last().map_or(marker, |part| part.number);
    let choice = begun.attributes.checksum_choice;
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        checksum_algorithm: choice.map(|choice| ChecksumAlgorithm::from_static(name_of(choice.algorithm))),
        checksum_type: choice.map(|choice| scope_name(choice.scope)),
        initiator: Some(Initiator { display_name: owner().display_name, id: owner().id }),
        owner: Some(owner()),
        is_truncated: Some(more),
        max_parts: i32::try_from(page).ok(),
        part_number_marker: i32::try_from(marker).ok(),
        next_part_number_marker: i32::try_from(last).ok(),
        parts: Some(parts.iter().map(part_entry).collect()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..ListPartsOutput::default()
    }))
}

fn part_entry(part: &PartInfo) -> Part {
    let sums = Sums::of(&part.checksums);
    Part {
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        e_tag: Some(strong(&part.etag)),
        last_modified: Some(timestamp(part.modified_at)),
        part_number: i32::try_from(part.number).ok(),
        size: i64::try_from(part.size).ok(),
    }
}

fn page_size(asked: Option<i32>, name: &str) -> S3Result<u32> {
    let asked = asked.map_or(Ok(limits::LIST_OBJECTS_MAX), |n| u32::try_from(n).map_err(|_| negative(name)))?;
    Ok(asked.min(limits::LIST_OBJECTS_MAX))
}

fn negative(name: &str) -> s3s::S3Error {
    s3_error!(InvalidArgument, "{name} must not be negative.")
}

pub async fn list_uploads(
    door: &Arc<Door>,
    req: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let bucket = bucket_name(&input.bucket)?;
    visitor.check_listing(&bucket, input.prefix.as_deref().unwrap_or_default())?;
    super::buckets::require(door, &bucket).await?;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let page = page_size(input.max_uploads, "max-uploads")?;
    let key_marker = input.key_marker.clone().filter(|text| !text.is_empty());
    let id_marker = input.upload_id_marker.clone().filter(|text| !text.is_empty());
    let query = ListMultiparts {
        bucket: Some(bucket),
        prefix: input.prefix.clone().unwrap_or_default(),
        after: key_marker.map(|key| (key, id_marker)),
        begun_before: None,
        limit: limits::LIST_OBJECTS_MAX,
    };
    let delimiter = input.delimiter.clone().filter(|text| !text.is_empty());
    let found = UploadPage::collect(door, &visitor, query, delimiter.as_deref(), page as usize).await?;
    let (next_key, next_id) = found.next.map_or((None, None), |(key, id)| (Some(key), id));
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix.as_deref().map(|text| encoding.text(text)),
        delimiter: delimiter.as_deref().map(|text| encoding.text(text)),
        key_marker: Some(encoding.text(input.key_marker.as_deref().unwrap_or_default())),
        upload_id_marker: input.upload_id_marker,
        max_uploads: i32::try_from(page).ok(),
        is_truncated: Some(next_key.is_some()),
        next_key_marker: next_key.map(|text| encoding.text(&text)),
        next_upload_id_marker: next_id,
        uploads: Some(found.uploads.iter().map(|info| upload_entry(info, encoding)).collect()),
        common_prefixes: Some(
            found.prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encoding.text(prefix)) }).collect(),
        ),
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    }))
}

#[derive(Default)]
struct UploadPage {
    uploads: Vec<MultipartInfo>,
    prefixes: Vec<String>,
    /// The last entry, if there are more behind it.
    next: Option<(String, Option<String>)>,
}

impl UploadPage {
    async fn collect(
        door: &Arc<Door>,
        visitor: &Visitor,
        mut query: ListMultiparts,
        delimiter: Option<&str>,
        page: usize,
    ) -> S3Result<Self> {
        let mut found = UploadPage::default();
        // a common prefix given as the marker stands for all uploads below it
        let mut inside = query.after.as_ref().filter(|(_, id)| id.is_none()).map(|(key, _)| key.clone());
        let mut last = query.after.clone();
        loop {
            let batch = door.store.multiparts(&query).await.map_err(errors::of_store)?;
            let Some(end) = batch.last() else { return Ok(found) };
            query.after = Some((end.upload.key.to_string(), Some(end.upload.id.clone())));
            for info in batch {
                if !visitor.who.reach.owns(info.attributes.owner.as_ref()) {
                    continue;
                }
                let key = info.upload.key.as_str();
                let prefix = delimiter.and_then(|delimiter| common_prefix(key, &query.prefix, delimiter));
                if prefix.is_some() && prefix == inside {
                    continue;
                }
                if found.uploads.len() + found.prefixes.len() == page {
                    found.next = last.filter(|_| page > 0);
                    return Ok(found);
                }
                match prefix {
                    Some(prefix) => {
                        last = Some((prefix.clone(), None));
                        inside = Some(prefix.clone());
                        found.prefixes.push(prefix);
                    }
                    None => {
                        last = Some((key.to_owned(), Some(info.upload.id.clone())));
                        found.uploads.push(info);
                    }
                }
            }
        }
    }
}

fn common_prefix(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)?;
    Some(key[..prefix.len() + end + delimiter.len()].to_owned())
}

fn upload_entry(info: &MultipartInfo, encoding: Encoding) -> MultipartUpload {
    let choice = info.attributes.checksum_choice;
    MultipartUpload {
        checksum_algorithm: choice.map(|choice| ChecksumAlgorithm::from_static(name_of(choice.algorithm))),
        checksum_type: choice.map(|choice| scope_name(choice.scope)),
        initiated: Some(timestamp(info.begun_at)),
        initiator: Some(Initiator { display_name: owner().display_name, id: owner().id }),
        key: Some(encoding.text(&info.upload.key)),
        owner: Some(owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(info.upload.id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_types_that_do_not_exist_are_refused() {
        let choice = |algorithm: &'static str, scope: Option<&'static str>| {
            let scope = scope.map(ChecksumType::from_static);
            checksum_choice(Some(&ChecksumAlgorithm::from_static(algorithm)), scope.as_ref())
        };
        assert!(choice("CRC64NVME", Some("COMPOSITE")).is_err());
        assert!(choice("SHA256", Some("FULL_OBJECT")).is_err());
        assert!(choice("MD5", None).is_err());
        let crc64 = choice("CRC64NVME", None).expect("S3's default");
        assert_eq!(crc64.map(|c| c.scope), Some(ChecksumScope::FullObject));
        let crc32 = choice("CRC32", None).expect("S3's default");
        assert_eq!(crc32.map(|c| c.scope), Some(ChecksumScope::Composite));
    }

    #[test]
    fn part_numbers_run_from_1_to_10000() {
        assert!(part_number(1).is_ok() && part_number(10_000).is_ok());
        assert!(part_number(0).is_err() && part_number(10_001).is_err() && part_number(-1).is_err());
    }

    #[test]
    fn a_common_prefix_ends_with_its_delimiter() {
        assert_eq!(common_prefix("a/b/c", "a/", "/").as_deref(), Some("a/b/"));
        assert_eq!(common_prefix("a/b", "a/", "/"), None);
    }
}
