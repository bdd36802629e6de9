//! GetObject, HeadObject and GetObjectAttributes: ranges, parts, conditions.
//!
//! The body is pinned to the version that the conditions were decided on.

use super::attributes::{DEFAULT_CONTENT_TYPE, sendable, sendable_expires, sendable_metadata};
use super::conditions::{Decision, ReadConditions, strong, timestamp};
use super::put::{Sums, address, check_version};
use super::visitor::Visitor;
use super::{Door, errors, outgoing};
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{BlobConflict, BlobError};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::ops;
use std::sync::Arc;

/// An object may be replaced between the look at it and the opening; the newer one is tried this often.
const RACES_MAX: u32 = 8;

pub async fn get_object(door: &Arc<Door>, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
    let conditions = ReadConditions {
        if_match: req.input.if_match.clone(),
        if_none_match: req.input.if_none_match.clone(),
        if_modified_since: req.input.if_modified_since.clone(),
        if_unmodified_since: req.input.if_unmodified_since.clone(),
    };
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    for _ in 0..RACES_MAX {
        let info = visitor.head(door, &bucket, &key).await?;
        decide(&conditions, &info)?;
        let view = View::of(&info, req.input.range.as_ref(), req.input.part_number, &req.headers)?;
        match door.store.open(&bucket, &key, Some(&info.etag), view.range.clone()).await {
            Ok(open) => {
                let length = open.range.end - open.range.start;
                let body = outgoing::blob(open.body, length).await?;
                let mode = req.input.checksum_mode.as_ref();
                return Ok(S3Response::new(get_output(&info, &view, length, body, mode)));
            }
            Err(BlobError::Conflict(BlobConflict::Precondition)) => {}
            Err(e) => return Err(errors::of_store(e)),
        }
    }
    Err(s3_error!(OperationAborted, "The object is being replaced too quickly to be read. Please try again."))
}

pub async fn head_object(door: &Arc<Door>, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
    let conditions = ReadConditions {
        if_match: req.input.if_match.clone(),
        if_none_match: req.input.if_none_match.clone(),
        if_modified_since: req.input.if_modified_since.clone(),
        if_unmodified_since: req.input.if_unmodified_since.clone(),
    };
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    let info = visitor.head(door, &bucket, &key).await?;
    decide(&conditions, &info)?;
    let view = View::of(&info, req.input.range.as_ref(), req.input.part_number, &req.headers)?;
    let length = view.range.as_ref().map_or(info.size, |range| range.end - range.start);
    Ok(S3Response::new(head_output(&info, &view, length, &req.input)))
}

fn decide(conditions: &ReadConditions, info: &ObjectInfo) -> S3Result<()> {
    match conditions.decide(info) {
        Decision::Proceed => Ok(()),
        Decision::Failed => Err(errors::precondition_failed()),
        Decision::NotModified => Err(not_modified(info)),
    }
}

/// Status 304 with the headers that a cache needs; the gate takes the body away.
fn not_modified(info: &ObjectInfo) -> S3Error {
    let mut headers = HeaderMap::new();
    let mut add = |name, text: Option<String>| {
        if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
            headers.insert(name, value);
        }
    };
    add(header::ETAG, Some(info.etag.quoted()));
    add(header::LAST_MODIFIED, super::attributes::http_date(&timestamp(info.modified_at)));
    add(header::CACHE_CONTROL, sendable(&info.attributes.cache_control));
    let mut error = S3Error::new(S3ErrorCode::NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    error.set_headers(headers);
    error
}

/// Which bytes of the object are asked for.
struct View {
    range: Option<ops::Range<u64>>,
    content_range: Option<String>,
    parts_count: Option<i32>,
}

impl View {
    fn of(info: &ObjectInfo, range: Option<&Range>, part: Option<i32>, headers: &HeaderMap) -> S3Result<Self> {
        let whole = View { range: None, content_range: None, parts_count: None };
        match (range, part) {
            (Some(_), Some(_)) => {
                Err(s3_error!(InvalidRequest, "Cannot specify both Range header and partNumber query parameter"))
            }
            (None, None) => Ok(whole),
            (Some(_), None) if !range_still_valid(info, headers) => Ok(whole),
            (Some(range), None) => {
                let range = range.check(info.size).map_err(|_| errors::range_beyond(info.size))?;
                Ok(View { content_range: content_range(&range, info.size), range: Some(range), parts_count: None })
            }
            (None, Some(number)) => View::of_part(info, number),
        }
    }

    fn of_part(info: &ObjectInfo, number: i32) -> S3Result<Self> {
        let whole = [info.size];
        let sizes: &[u64] = if info.part_sizes.is_empty() { &whole } else { &info.part_sizes };
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let index =
            index.ok_or_else(|| s3_error!(InvalidArgument, "partNumber must be an integer between 1 and 10000."))?;
        let Some(size) = sizes.get(index) else {
            let mut error = S3Error::with_message(
                S3ErrorCode::Custom("InvalidPartNumber".into()),
                "The requested partnumber is not satisfiable",
            );
            error.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
            return Err(error);
        };
        let start: u64 = sizes[..index].iter().sum();
        let range = start..start + size;
        let parts_count = (!info.part_sizes.is_empty()).then(|| i32::try_from(sizes.len()).unwrap_or(i32::MAX));
        if info.size == 0 {
            return Ok(View { range: None, content_range: None, parts_count });
        }
        Ok(View { content_range: content_range(&range, info.size), range: Some(range), parts_count })
    }
}

/// A browser that resumes a download sends `If-Range`; after a change it wants the new whole, not a mix.
fn range_still_valid(info: &ObjectInfo, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::IF_RANGE) else { return true };
    let text = value.to_str().unwrap_or_default();
    let date = || super::attributes::http_date(&timestamp(info.modified_at));
    text == info.etag.quoted() || date().is_some_and(|date| date == text)
}

fn content_range(range: &ops::Range<u64>, size: u64) -> Option<String> {
    (!range.is_empty()).then(|| format!("bytes {}-{}/{size}", range.start, range.end - 1))
}

/// S3 sends checksums when asked, and only with the bytes that they cover.
fn sums_for(info: &ObjectInfo, view: &View, mode: Option<&ChecksumMode>) -> Sums {
    let asked = mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED);
    if asked && view.range.is_none() { Sums::of(&info.checksums) } else { Sums::default() }
}

fn get_output(
    info: &ObjectInfo,
    view: &View,
    length: u64,
    body: StreamingBlob,
    mode: Option<&ChecksumMode>,
) -> GetObjectOutput {
    let attributes = &info.attributes;
    let sums = sums_for(info, view, mode);
    let (metadata, missing_meta) = sendable_metadata(&attributes.metadata);
    GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        body: Some(body),
        cache_control: sendable(&attributes.cache_control),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        content_disposition: sendable(&attributes.content_disposition),
        content_encoding: sendable(&attributes.content_encoding),
        content_language: sendable(&attributes.content_language),
        content_length: i64::try_from(length).ok(),
        content_range: view.content_range.clone(),
        content_type: Some(sendable(&attributes.content_type).unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned())),
        e_tag: Some(strong(&info.etag)),
        expires: sendable_expires(&attributes.expires),
        last_modified: Some(timestamp(info.modified_at)),
        metadata,
        missing_meta,
        parts_count: view.parts_count,
        tag_count: (!attributes.tags.is_empty()).then(|| i32::try_from(attributes.tags.len()).unwrap_or(i32::MAX)),
        ..GetObjectOutput::default()
    }
}

/// As [`get_output`], and the `response-*` overrides that `s3s` applies to GET alone.
fn head_output(info: &ObjectInfo, view: &View, length: u64, input: &HeadObjectInput) -> HeadObjectOutput {
    let attributes = &info.attributes;
    let sums = sums_for(info, view, input.checksum_mode.as_ref());
    let (metadata, missing_meta) = sendable_metadata(&attributes.metadata);
    let or_stored = |asked: &Option<String>, stored: &Option<String>| sendable(asked).or_else(|| sendable(stored));
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: or_stored(&input.response_cache_control, &attributes.cache_control),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        content_disposition: or_stored(&input.response_content_disposition, &attributes.content_disposition),
        content_encoding: or_stored(&input.response_content_encoding, &attributes.content_encoding),
        content_language: or_stored(&input.response_content_language, &attributes.content_language),
        content_length: i64::try_from(length).ok(),
        content_range: view.content_range.clone(),
        content_type: Some(
            or_stored(&input.response_content_type, &attributes.content_type)
                .unwrap_or_else(|| DEFAULT_CONTENT_TYPE.to_owned()),
        ),
        e_tag: Some(strong(&info.etag)),
        expires: input.response_expires.clone().or_else(|| sendable_expires(&attributes.expires)),
        last_modified: Some(timestamp(info.modified_at)),
        metadata,
        missing_meta,
        parts_count: view.parts_count,
        ..HeadObjectOutput::default()
    }
}

pub async fn get_object_attributes(
    door: &Arc<Door>,
    req: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    let info = visitor.head(door, &bucket, &key).await?;
    let names: Vec<&str> =
        req.input.object_attributes.iter().flat_map(|name| name.as_str().split(',')).map(str::trim).collect();
    let wants = |name: &str| names.contains(&name);
    let sums = Sums::of(&info.checksums);
    Ok(S3Response::new(GetObjectAttributesOutput {
        checksum: (wants("Checksum") && !info.checksums.is_empty()).then_some(Checksum {
            checksum_crc32: sums.crc32,
            checksum_crc32c: sums.crc32c,
            checksum_crc64nvme: sums.crc64nvme,
            checksum_sha1: sums.sha1,
            checksum_sha256: sums.sha256,
            checksum_type: sums.scope,
        }),
        e_tag: wants("ETag").then(|| strong(&info.etag)),
        last_modified: Some(timestamp(info.modified_at)),
        object_parts: (wants("ObjectParts") && !info.part_sizes.is_empty()).then(|| parts_page(&info, &req.input)),
        object_size: if wants("ObjectSize") { i64::try_from(info.size).ok() } else { None },
        storage_class: wants("StorageClass").then(|| StorageClass::from_static(StorageClass::STANDARD)),
        ..GetObjectAttributesOutput::default()
    }))
}

fn parts_page(info: &ObjectInfo, input: &GetObjectAttributesInput) -> GetObjectAttributesParts {
    let marker =
        input.part_number_marker.as_ref().and_then(|marker| marker.to_string().parse::<usize>().ok()).unwrap_or(0);
    let page = usize::try_from(input.max_parts.unwrap_or(1000)).unwrap_or(0).min(1000);
    let parts: Vec<ObjectPart> = info
        .part_sizes
        .iter()
        .enumerate()
        .skip(marker)
        .take(page)
        .map(|(index, size)| ObjectPart {
            part_number: i32::try_from(index + 1).ok(),
            size: i64::try_from(*size).ok(),
            ..ObjectPart::default()
        })
        .collect();
    let last = marker + parts.len();
    GetObjectAttributesParts {
        is_truncated: Some(last < info.part_sizes.len()),
        max_parts: i32::try_from(page).ok(),
        part_number_marker: marker.try_into().ok(),
        next_part_number_marker: last.try_into().ok(),
        total_parts_count: i32::try_from(info.part_sizes.len()).ok(),
        parts: Some(parts),
    }
}
