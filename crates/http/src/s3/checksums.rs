//! One pass over a body's content that computes every digest it needs, and the verdict on them.
//!
//! The verdict falls before anything is stored under the key. CPU work: large bodies are hashed off the async threads.

use super::expectations::{Expectations, header_of};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use filemill_core::checksum::{ChecksumAlgorithm, ChecksumScope, Checksums};
use filemill_core::etag::Etag;
use filemill_core::limits;
use md5::Md5;
use s3s::crypto::Checksum as _;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use sha2::{Digest as _, Sha256};

/// One of the `x-amz-checksum-*` algorithms at work.
pub enum Summer {
    Crc(ChecksumAlgorithm, Box<crc_fast::Digest>),
    Sha1(Box<s3s::crypto::Sha1>),
    Sha256(Box<Sha256>),
}

impl Summer {
    pub fn new(algorithm: ChecksumAlgorithm) -> Self {
        match algorithm {
            ChecksumAlgorithm::Sha1 => Summer::Sha1(Box::new(s3s::crypto::Sha1::new())),
            ChecksumAlgorithm::Sha256 => Summer::Sha256(Box::default()),
            crc => Summer::Crc(crc, Box::new(crc_fast::Digest::new(crc_parameters(crc)))),
        }
    }

    pub fn update(&mut self, data: &[u8]) {
        match self {
            Summer::Crc(_, digest) => digest.update(data),
            Summer::Sha1(digest) => digest.update(data),
            Summer::Sha256(digest) => digest.update(data),
        }
    }

    /// In base64, as S3 sends it.
    pub fn finish(self) -> String {
        match self {
            Summer::Crc(algorithm, digest) => encode_crc(algorithm, digest.finalize()),
            Summer::Sha1(digest) => STANDARD.encode(digest.finalize()),
            Summer::Sha256(digest) => STANDARD.encode(digest.finalize()),
        }
    }
}

pub fn crc_parameters(algorithm: ChecksumAlgorithm) -> CrcAlgorithm {
    match algorithm {
        ChecksumAlgorithm::Crc32c => CrcAlgorithm::Crc32Iscsi,
        ChecksumAlgorithm::Crc64nvme => CrcAlgorithm::Crc64Nvme,
        _ => CrcAlgorithm::Crc32IsoHdlc,
    }
}

/// Big-endian: four bytes, or eight of CRC64NVME.
pub fn encode_crc(algorithm: ChecksumAlgorithm, crc: u64) -> String {
    let bytes = crc.to_be_bytes();
    if algorithm == ChecksumAlgorithm::Crc64nvme { STANDARD.encode(bytes) } else { STANDARD.encode(&bytes[4..]) }
}

/// Everything that one body is hashed into.
pub struct Hasher {
    expectations: Expectations,
    md5: Option<Md5>,
    content_sha256: Option<Sha256>,
    checksum: Option<(ChecksumAlgorithm, Summer)>,
}

/// A body that was what its head promised.
pub struct Verified {
    /// The MD5, where it was computed; the store's own tag stands for it otherwise.
    pub etag: Option<Etag>,
    pub checksums: Checksums,
}

impl Hasher {
    /// For a body of this length.
    pub fn new(expectations: Expectations, length: u64) -> Self {
        let wants_md5 = expectations.md5.is_some() || length <= limits::MD5_BYTES_MAX;
        let checksum = expectations.algorithm().map(|algorithm| (algorithm, Summer::new(algorithm)));
        let content_sha256 = expectations.content_sha256.map(|_| Sha256::new());
        Hasher { expectations, md5: wants_md5.then(Md5::new), content_sha256, checksum }
    }

    pub fn update(&mut self, data: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(data);
        }
        if let Some(sha256) = &mut self.content_sha256 {
            sha256.update(data);
        }
        if let Some((_, summer)) = &mut self.checksum {
            summer.update(data);
        }
    }

    /// The verdict. `trailers` came behind the body.
    pub fn finish(self, trailers: &[(String, String)]) -> S3Result<Verified> {
        let Hasher { expectations, md5, content_sha256, checksum } = self;
        let md5 = md5.map(|md5| <[u8; 16]>::from(md5.finalize()));
        if expectations.md5.is_some() && expectations.md5 != md5 {
            return Err(s3_error!(BadDigest, "The Content-MD5 you specified did not match what we received."));
        }
        if let (Some(expected), Some(sha256)) = (expectations.content_sha256, content_sha256)
            && expected != <[u8; 32]>::from(sha256.finalize())
        {
            return Err(content_sha256_mismatch());
        }
        let mut checksums = Checksums { scope: ChecksumScope::FullObject, ..Checksums::default() };
        if let Some((algorithm, summer)) = checksum {
            let computed = summer.finish();
            if let Some(expected) = promised(&expectations, trailers)?
                && expected != computed
            {
                return Err(checksum_mismatch(algorithm));
            }
            checksums.values.insert(algorithm, computed);
        }
        Ok(Verified { etag: md5.map(Etag::from_md5), checksums })
    }
}

/// The checksum that head or trailer gave, `None` if it is only ours.
fn promised<'a>(expectations: &'a Expectations, trailers: &'a [(String, String)]) -> S3Result<Option<&'a str>> {
    if let Some((_, value)) = &expectations.checksum {
        return Ok(Some(value));
    }
    let Some(algorithm) = expectations.trailer else { return Ok(None) };
    let value = trailers.iter().find(|(name, _)| name == header_of(algorithm)).map(|(_, value)| value.as_str());
    value.map(Some).ok_or_else(|| {
        let mut error = S3Error::with_message(
            S3ErrorCode::Custom("MalformedTrailerError".into()),
            "The trailer that the request announced is missing.",
        );
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    })
}

pub fn checksum_mismatch(algorithm: ChecksumAlgorithm) -> S3Error {
    let name = super::expectations::name_of(algorithm);
    s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum.")
}

fn content_sha256_mismatch() -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()),
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    );
    error.set_status_code(http::StatusCode::BAD_REQUEST);
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // check values of "123456789" from the CRC catalogue and FIPS
        let published = [
            (ChecksumAlgorithm::Crc32, STANDARD.encode(0xCBF4_3926_u32.to_be_bytes())),
            (ChecksumAlgorithm::Crc32c, STANDARD.encode(0xE306_9283_u32.to_be_bytes())),
            (ChecksumAlgorithm::Crc64nvme, STANDARD.encode(0xAE8B_1486_0A79_9888_u64.to_be_bytes())),
            (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE=".to_owned()),
            (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=".to_owned()),
        ];
        for (algorithm, expected) in published {
            let mut summer = Summer::new(algorithm);
            summer.update(b"12345");
            summer.update(b"6789");
            assert_eq!(summer.finish(), expected, "{algorithm:?}");
        }
    }

    #[test]
    fn a_large_body_has_an_md5_only_to_be_compared() {
        let tag = |expectations, length| Hasher::new(expectations, length).finish(&[]).expect("nothing to refuse").etag;
        let nothing = Etag::md5_of(b"");
        let compared = Expectations { md5: Some(Md5::digest(b"").into()), ..Expectations::default() };
        assert_eq!(tag(Expectations::default(), limits::MD5_BYTES_MAX), Some(nothing.clone()));
        assert_eq!(tag(Expectations::default(), limits::MD5_BYTES_MAX + 1), None);
        assert_eq!(tag(compared.clone(), limits::MD5_BYTES_MAX + 1), Some(nothing));
        let mut other = Hasher::new(compared, limits::MD5_BYTES_MAX + 1);
        other.update(b"x");
        assert!(other.finish(&[]).is_err(), "a wrong Content-MD5 is refused at any length");
    }

    #[test]
    fn a_wrong_checksum_is_a_bad_digest() {
        let checksum = Some((ChecksumAlgorithm::Crc32, "AAAAAA==".to_owned()));
        let mut hasher = Hasher::new(Expectations { checksum, ..Expectations::default() }, 9);
        hasher.update(b"123456789");
        let error = hasher.finish(&[]).err().expect("a refusal");
        assert_eq!(error.code(), &S3ErrorCode::BadDigest);
    }

    #[test]
    fn an_announced_trailer_must_come_and_match() {
        let expectations = Expectations { trailer: Some(ChecksumAlgorithm::Crc32), ..Expectations::default() };
        let hash = |trailers: &[(String, String)]| {
            let mut hasher = Hasher::new(expectations.clone(), 9);
            hasher.update(b"123456789");
            hasher.finish(trailers).map(|verified| verified.checksums.values.len())
        };
        assert!(hash(&[]).is_err());
        assert!(hash(&[("x-amz-checksum-crc32".into(), "AAAAAA==".into())]).is_err());
        assert_eq!(hash(&[("x-amz-checksum-crc32".into(), "y/Q5Jg==".into())]).ok(), Some(1));
    }
}
