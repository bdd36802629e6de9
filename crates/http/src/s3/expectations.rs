//! What the headers say that a body must hash to: Content-MD5, `x-amz-content-sha256`, `x-amz-checksum-*`.
//!
//! A header that cannot be right (two checksums, bad base64, wrong length) is refused before the body is read.

use super::upload::ContentSha256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use filemill_core::checksum::ChecksumAlgorithm;
use http::HeaderMap;
use s3s::{S3Result, s3_error};

pub const ALGORITHMS: [ChecksumAlgorithm; 5] = [
    ChecksumAlgorithm::Crc32,
    ChecksumAlgorithm::Crc32c,
    ChecksumAlgorithm::Crc64nvme,
    ChecksumAlgorithm::Sha1,
    ChecksumAlgorithm::Sha256,
];

/// `x-amz-checksum-...`
pub fn header_of(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
        ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
        ChecksumAlgorithm::Crc64nvme => "x-amz-checksum-crc64nvme",
        ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
        ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
    }
}

/// As S3 spells it in XML and in `x-amz-checksum-algorithm`.
pub fn name_of(algorithm: ChecksumAlgorithm) -> &'static str {
    match algorithm {
        ChecksumAlgorithm::Crc32 => "CRC32",
        ChecksumAlgorithm::Crc32c => "CRC32C",
        ChecksumAlgorithm::Crc64nvme => "CRC64NVME",
        ChecksumAlgorithm::Sha1 => "SHA1",
        ChecksumAlgorithm::Sha256 => "SHA256",
    }
}

pub fn algorithm_named(name: &str) -> S3Result<ChecksumAlgorithm> {
    let found = ALGORITHMS.into_iter().find(|algorithm| name_of(*algorithm).eq_ignore_ascii_case(name));
    found.ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"))
}

pub fn digest_bytes(algorithm: ChecksumAlgorithm) -> usize {
    match algorithm {
        ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
        ChecksumAlgorithm::Crc64nvme => 8,
        ChecksumAlgorithm::Sha1 => 20,
        ChecksumAlgorithm::Sha256 => 32,
    }
}

/// Whether `value` is base64 of a digest of this algorithm.
pub fn is_digest(algorithm: ChecksumAlgorithm, value: &str) -> bool {
    STANDARD.decode(value).is_ok_and(|digest| digest.len() == digest_bytes(algorithm))
}

#[derive(Clone, Debug, Default)]
pub struct Expectations {
    pub md5: Option<[u8; 16]>,
    pub content_sha256: Option<[u8; 32]>,
    /// Base64, from the head.
    pub checksum: Option<(ChecksumAlgorithm, String)>,
    /// Comes behind the body.
    pub trailer: Option<ChecksumAlgorithm>,
    /// Nobody vouches for it, but it is wanted: a part of a multipart upload that promised checksums.
    pub computed: Option<ChecksumAlgorithm>,
}

impl Expectations {
    pub fn of(headers: &HeaderMap, content: ContentSha256) -> S3Result<Self> {
        let expectations = Expectations {
            checksum: checksum(headers)?,
            trailer: if content.is_chunked() { trailer(headers)? } else { None },
            ..Expectations::of_body(headers, content)?
        };
        expectations.check_announced(headers)?;
        Ok(expectations)
    }

    /// Without `x-amz-checksum-*`.
    pub fn of_body(headers: &HeaderMap, content: ContentSha256) -> S3Result<Self> {
        let content_sha256 = match content {
            ContentSha256::Is(digest) => Some(digest),
            _ => None,
        };
        Ok(Expectations { md5: content_md5(headers)?, content_sha256, ..Expectations::default() })
    }

    /// The algorithm whose result will be stored.
    pub fn algorithm(&self) -> Option<ChecksumAlgorithm> {
        let given = self.checksum.as_ref().map(|(algorithm, _)| *algorithm);
        given.or(self.trailer).or(self.computed)
    }

    fn check_announced(&self, headers: &HeaderMap) -> S3Result<()> {
        if self.checksum.is_some() && self.trailer.is_some() {
            return Err(s3_error!(InvalidRequest, "Expecting a single x-amz-checksum- header or trailer."));
        }
        let Some(name) = headers.get("x-amz-sdk-checksum-algorithm") else { return Ok(()) };
        let announced = algorithm_named(name.to_str().unwrap_or_default())?;
        match self.algorithm() {
            Some(algorithm) if algorithm == announced => Ok(()),
            Some(_) => Err(s3_error!(InvalidRequest, "Value for x-amz-sdk-checksum-algorithm header is invalid.")),
            None => Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
            )),
        }
    }
}

fn content_md5(headers: &HeaderMap) -> S3Result<Option<[u8; 16]>> {
    let Some(value) = headers.get("content-md5") else { return Ok(None) };
    let digest = STANDARD.decode(value.as_bytes()).ok().and_then(|digest| <[u8; 16]>::try_from(digest).ok());
    digest.map(Some).ok_or_else(|| s3_error!(InvalidDigest, "The Content-MD5 you specified is not valid."))
}

fn checksum(headers: &HeaderMap) -> S3Result<Option<(ChecksumAlgorithm, String)>> {
    let mut found = None;
    for algorithm in ALGORITHMS {
        let Some(value) = headers.get(header_of(algorithm)) else { continue };
        let value = value.to_str().unwrap_or_default();
        if !is_digest(algorithm, value) {
            return Err(s3_error!(InvalidRequest, "Value for {} header is invalid.", header_of(algorithm)));
        }
        if found.replace((algorithm, value.to_owned())).is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            ));
        }
    }
    Ok(found)
}

fn trailer(headers: &HeaderMap) -> S3Result<Option<ChecksumAlgorithm>> {
    let Some(value) = headers.get("x-amz-trailer") else { return Ok(None) };
    let name = value.to_str().unwrap_or_default().trim();
    let found = ALGORITHMS.into_iter().find(|algorithm| header_of(*algorithm).eq_ignore_ascii_case(name));
    found
        .map(Some)
        .ok_or_else(|| s3_error!(InvalidRequest, "The value specified in the x-amz-trailer header is not supported"))
}
