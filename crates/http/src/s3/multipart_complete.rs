//! CompleteMultipartUpload: every named part is checked, the object's checksum made from theirs, no byte read.
//!
//! A completion whose answer was lost may be repeated: if the object that the same parts made is there, the answer is
//! the same.

use super::checksums::{checksum_mismatch, crc_parameters, encode_crc};
use super::conditions::{strong, write_condition};
use super::expectations::{digest_bytes, is_digest};
use super::put::{Sums, address, scope_name};
use super::visitor::{Visitor, of_write};
use super::{Door, errors};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::checksum::{ChecksumAlgorithm as Algorithm, ChecksumChoice, ChecksumScope, Checksums};
use filemill_core::etag::Etag;
use filemill_core::limits;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{
    BlobError, CompleteMultipart, InvalidBlob, Missing, MultipartRef, PartInfo, PartRef, Precondition,
};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeMap;
use std::sync::Arc;

pub async fn complete(
    door: &Arc<Door>,
    req: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    let condition = write_condition(input.if_match.as_ref(), input.if_none_match.as_ref())?;
    let named = named_parts(input.multipart_upload.as_ref())?;
    let upload = MultipartRef { bucket, key, id: input.upload_id.clone() };
    let begun = match visitor.multipart(door, &upload).await {
        Err(BlobError::NotFound(Missing::Upload)) => {
            let info = already_completed(door, &visitor, &upload, &named, &condition).await?;
            return Ok(answer(&input, &info));
        }
        begun => begun.map_err(errors::of_store)?,
    };
    let parts = stored_parts(door, &upload, &named).await?;
    check_sizes(door, &input, &parts)?;
    let checksums = checksums_of(&input, begun.attributes.checksum_choice, &parts)?;
    let complete = CompleteMultipart {
        parts: parts
            .iter()
            .map(|part| PartRef {
                number: part.number,
                handle: Some(part.handle.clone()),
                etag: Some(part.etag.clone()),
            })
            .collect(),
        checksums,
        condition: visitor.guard(door, &upload.bucket, &upload.key, &condition).await?,
        min_part_bytes: limits::PART_BYTES_MIN,
    };
    let completed = door.store.complete_multipart(&upload, complete).await;
    let info = completed.map_err(|e| of_write(e, &condition))?;
    Ok(answer(&input, &info))
}

fn answer(input: &CompleteMultipartUploadInput, info: &ObjectInfo) -> S3Response<CompleteMultipartUploadOutput> {
    let sums = Sums::of(&info.checksums);
    S3Response::new(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        location: Some(format!("/{}/{}", input.bucket, super::list::Encoding::Url.text(&input.key))),
        e_tag: Some(strong(&info.etag)),
        checksum_crc32: sums.crc32,
        checksum_crc32c: sums.crc32c,
        checksum_crc64nvme: sums.crc64nvme,
        checksum_sha1: sums.sha1,
        checksum_sha256: sums.sha256,
        checksum_type: sums.scope,
        ..CompleteMultipartUploadOutput::default()
    })
}

/// A part as the request names it.
struct NamedPart {
    number: u32,
    etag: Etag,
    checksum: Option<(Algorithm, String)>,
}

fn named_parts(request: Option<&CompletedMultipartUpload>) -> S3Result<Vec<NamedPart>> {
    let parts = request.and_then(|request| request.parts.as_deref()).unwrap_or_default();
    if parts.is_empty() || parts.len() > limits::PARTS_MAX as usize {
        return Err(s3_error!(MalformedXML, "A completion names 1 to {} parts.", limits::PARTS_MAX));
    }
    let named: Vec<NamedPart> = parts.iter().map(named_part).collect::<S3Result<_>>()?;
    if !named.is_sorted_by(|a, b| a.number < b.number) {
        return Err(errors::of_store(BlobError::Invalid(InvalidBlob::PartOrder)));
    }
    Ok(named)
}

fn named_part(part: &CompletedPart) -> S3Result<NamedPart> {
    let malformed = || s3_error!(MalformedXML, "Each part needs its PartNumber and ETag.");
    let etag = part.e_tag.as_ref().ok_or_else(malformed)?;
    let given = [
        (Algorithm::Crc32, &part.checksum_crc32),
        (Algorithm::Crc32c, &part.checksum_crc32c),
        (Algorithm::Crc64nvme, &part.checksum_crc64nvme),
        (Algorithm::Sha1, &part.checksum_sha1),
        (Algorithm::Sha256, &part.checksum_sha256),
    ];
    let checksum = given.into_iter().find_map(|(algorithm, value)| Some((algorithm, value.clone()?)));
    Ok(NamedPart {
        number: super::multipart::part_number(part.part_number.ok_or_else(malformed)?)?,
        etag: Etag::new(etag.value()),
        checksum,
    })
}

/// The stored parts that were named, each the one that was meant.
async fn stored_parts(door: &Arc<Door>, upload: &MultipartRef, named: &[NamedPart]) -> S3Result<Vec<PartInfo>> {
    let mut stored = BTreeMap::new();
    let mut after = 0;
    loop {
        let page = door.store.parts(upload, after, limits::LIST_OBJECTS_MAX).await.map_err(errors::of_store)?;
        let Some(last) = page.last() else { break };
        after = last.number;
        stored.extend(page.into_iter().map(|part| (part.number, part)));
    }
    let invalid = |number| errors::of_store(BlobError::Invalid(InvalidBlob::Part(number)));
    let mut parts = Vec::with_capacity(named.len());
    for name in named {
        let part = stored.remove(&name.number).filter(|part| part.etag == name.etag);
        let part = part.ok_or_else(|| invalid(name.number))?;
        if let Some((algorithm, value)) = &name.checksum
            && part.checksums.values.get(algorithm).is_some_and(|stored| stored != value)
        {
            return Err(invalid(name.number));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn check_sizes(door: &Arc<Door>, input: &CompleteMultipartUploadInput, parts: &[PartInfo]) -> S3Result<()> {
    let size: u64 = parts.iter().map(|part| part.size).sum();
    let max = door.object_bytes_max(&input.bucket);
    if size > max {
        return Err(errors::entity_too_large(max));
    }
    match input.mpu_object_size {
        Some(expected) if u64::try_from(expected) != Ok(size) => Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header value {expected} does not match what was computed: {size}"
        )),
        _ => Ok(()),
    }
}

/// The object's checksum, if the upload promised one or the completion brings one, verified against the parts'.
fn checksums_of(
    input: &CompleteMultipartUploadInput,
    choice: Option<ChecksumChoice>,
    parts: &[PartInfo],
) -> S3Result<Checksums> {
    let given = given_checksum(input)?;
    let choice = match (choice, &given) {
        (Some(choice), _) => choice,
        (None, Some((algorithm, value))) => choice_of(*algorithm, value),
        (None, None) => return Ok(Checksums::default()),
    };
    if let Some(scope) = &input.checksum_type
        && scope.as_str() != scope_name(choice.scope).as_str()
    {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was created using the {} checksum mode. The complete request must use the same checksum mode.",
            scope_name(choice.scope).as_str()
        ));
    }
    let Some(value) = combine(choice, parts) else {
        return match given {
            Some((algorithm, _)) => Err(checksum_mismatch(algorithm)),
            None => Ok(Checksums::default()),
        };
    };
    let stored = value.clone();
    if let Some((algorithm, expected)) = given {
        // a composite may be given with or without its count of parts
        let bare = value.split('-').next().unwrap_or_default();
        if algorithm != choice.algorithm || (expected != value && expected != bare) {
            return Err(checksum_mismatch(algorithm));
        }
    }
    Ok(Checksums { values: [(choice.algorithm, stored)].into(), scope: choice.scope })
}

fn given_checksum(input: &CompleteMultipartUploadInput) -> S3Result<Option<(Algorithm, String)>> {
    let given = [
        (Algorithm::Crc32, &input.checksum_crc32),
        (Algorithm::Crc32c, &input.checksum_crc32c),
        (Algorithm::Crc64nvme, &input.checksum_crc64nvme),
        (Algorithm::Sha1, &input.checksum_sha1),
        (Algorithm::Sha256, &input.checksum_sha256),
    ];
    let Some((algorithm, value)) = given.into_iter().find_map(|(algorithm, value)| Some((algorithm, value.clone()?)))
    else {
        return Ok(None);
    };
    let bare = value.split('-').next().unwrap_or_default();
    if !is_digest(algorithm, bare) {
        return Err(s3_error!(
            InvalidRequest,
            "Value for {} header is invalid.",
            super::expectations::header_of(algorithm)
        ));
    }
    Ok(Some((algorithm, value)))
}

fn choice_of(algorithm: Algorithm, value: &str) -> ChecksumChoice {
    let is_sha = matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256);
    let scope = if is_sha || value.contains('-') { ChecksumScope::Composite } else { ChecksumScope::FullObject };
    ChecksumChoice { algorithm, scope }
}

/// `None` if a part has no checksum of the algorithm.
fn combine(choice: ChecksumChoice, parts: &[PartInfo]) -> Option<String> {
    let digests: Vec<Vec<u8>> = parts
        .iter()
        .map(|part| STANDARD.decode(part.checksums.values.get(&choice.algorithm)?).ok())
        .map(|digest| digest.filter(|digest| digest.len() == digest_bytes(choice.algorithm)))
        .collect::<Option<_>>()?;
    match choice.scope {
        ChecksumScope::Composite => {
            let mut summer = super::checksums::Summer::new(choice.algorithm);
            digests.iter().for_each(|digest| summer.update(digest));
            Some(format!("{}-{}", summer.finish(), parts.len()))
        }
        ChecksumScope::FullObject => {
            let crcs = digests.iter().map(|digest| digest.iter().fold(0u64, |crc, byte| (crc << 8) | u64::from(*byte)));
            let combined = crcs.zip(parts).reduce(|(left, first), (right, part)| {
                let parameters = crc_parameters(choice.algorithm);
                (crc_fast::checksum_combine(parameters, left, right, part.size), first)
            });
            combined.map(|(crc, _)| encode_crc(choice.algorithm, crc))
        }
    }
}

/// The object that a completion with these parts made, if it is (still) there.
async fn already_completed(
    door: &Arc<Door>,
    visitor: &Visitor,
    upload: &MultipartRef,
    named: &[NamedPart],
    condition: &Precondition,
) -> S3Result<ObjectInfo> {
    let etags: Vec<&Etag> = named.iter().map(|part| &part.etag).collect();
    let etag = Etag::of_parts(etags.into_iter());
    match door.store.head(&upload.bucket, &upload.key).await {
        Ok(info) if *condition == Precondition::None && info.etag == etag && visitor.owns(&info) => Ok(info),
        Ok(_) | Err(BlobError::NotFound(Missing::Object)) => Err(errors::no_such_upload()),
        Err(e) => Err(errors::of_store(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::checksums::Summer;
    use filemill_core::time::Timestamp;
    use sha2::Digest as _;

    fn parts(algorithm: Algorithm, contents: &[&[u8]]) -> Vec<PartInfo> {
        let part = |(index, content): (usize, &&[u8])| {
            let mut summer = Summer::new(algorithm);
            summer.update(content);
            PartInfo {
                number: index as u32 + 1,
                size: content.len() as u64,
                etag: Etag::new("e"),
                checksums: Checksums { values: [(algorithm, summer.finish())].into(), ..Checksums::default() },
                modified_at: Timestamp::ZERO,
                handle: String::new(),
            }
        };
        contents.iter().enumerate().map(part).collect()
    }

    #[test]
    fn a_full_object_checksum_is_that_of_the_whole() {
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64nvme] {
            let mut whole = Summer::new(algorithm);
            whole.update(b"hello, parts of any length");
            let choice = ChecksumChoice { algorithm, scope: ChecksumScope::FullObject };
            let parts = parts(algorithm, &[b"hello", b"", b", parts", b" of any length"]);
            assert_eq!(combine(choice, &parts), Some(whole.finish()), "{algorithm:?}");
        }
    }

    #[test]
    fn a_composite_checksum_is_that_of_the_checksums() {
        let choice = ChecksumChoice { algorithm: Algorithm::Sha256, scope: ChecksumScope::Composite };
        let digests = [sha2::Sha256::digest(b"a"), sha2::Sha256::digest(b"b")].concat();
        let expected = format!("{}-2", STANDARD.encode(sha2::Sha256::digest(&digests)));
        assert_eq!(combine(choice, &parts(Algorithm::Sha256, &[b"a", b"b"])), Some(expected));
    }

    #[test]
    fn a_part_without_the_checksum_makes_none() {
        let choice = ChecksumChoice { algorithm: Algorithm::Crc32, scope: ChecksumScope::Composite };
        assert_eq!(combine(choice, &parts(Algorithm::Sha1, &[b"a"])), None);
    }
}
