//! SigV4 where `s3s` does not verify it for us: the chunks of a signed body, POST policies, and requests to message queues.
//!
//! Comparisons take constant time. An expected signature never leaves this file.

use filemill_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const EMPTY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// `AKID/20251121/region/s3/aws4_request`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    pub access_key_id: String,
    pub date: String,
    pub region: String,
    pub service: String,
}

impl Credential {
    pub fn parse(text: &str) -> Option<Self> {
        // an access key id may hold slashes, the scope may not
        let mut fields = text.rsplitn(5, '/');
        let terminator = fields.next()?;
        let service = fields.next()?;
        let region = fields.next()?;
        let date = fields.next()?;
        let access_key_id = fields.next()?;
        let well_formed = terminator == "aws4_request"
            && date.len() == 8
            && date.bytes().all(|b| b.is_ascii_digit())
            && !access_key_id.is_empty();
        well_formed.then(|| Credential {
            access_key_id: access_key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
        })
    }

    pub fn scope(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// `20251121T024600Z`
pub fn parse_amz_date(text: &str) -> Option<Timestamp> {
    let b = text.as_bytes();
    if b.len() != 16 || b[8] != b'T' || b[15] != b'Z' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i16>().ok())?
    };
    let small = |range| number(range).and_then(|n| i8::try_from(n).ok());
    let date = jiff::civil::DateTime::new(
        number(0..4)?,
        small(4..6)?,
        small(6..8)?,
        small(9..11)?,
        small(11..13)?,
        small(13..15)?,
        0,
    );
    let instant = date.ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Timestamp::from_millis(instant.timestamp().as_millisecond()))
}

/// A key that signs for one day, region and service.
pub struct SigningKey([u8; 32]);

impl SigningKey {
    pub fn derive(secret_access_key: &str, credential: &Credential) -> Self {
        let seed = format!("AWS4{secret_access_key}");
        let date = hmac_sha256(seed.as_bytes(), credential.date.as_bytes());
        let region = hmac_sha256(&date, credential.region.as_bytes());
        let service = hmac_sha256(&region, credential.service.as_bytes());
        SigningKey(hmac_sha256(&service, b"aws4_request"))
    }

    /// Whether `signature` (hex) signs `text`.
    pub fn verifies(&self, text: &[u8], signature: &str) -> bool {
        let mut mac = keyed(&self.0);
        mac.update(text);
        hex::decode(signature).is_ok_and(|given| mac.verify_slice(&given).is_ok())
    }
}

/// Verifies the chain of a signed body: each chunk's signature covers the one before.
pub struct ChunkChain {
    key: SigningKey,
    /// Date and scope, the lines that all signatures of a body share.
    preamble: String,
    previous: String,
}

impl ChunkChain {
    /// `seed` is the signature of the request's head.
    pub fn new(secret_access_key: &str, credential: &Credential, amz_date: &str, seed: &str) -> Self {
        ChunkChain {
            key: SigningKey::derive(secret_access_key, credential),
            preamble: format!("{amz_date}\n{}", credential.scope()),
            previous: seed.to_owned(),
        }
    }

    /// The next chunk, whose bytes have the digest `sha256`.
    pub fn verify_chunk(&mut self, sha256: [u8; 32], signature: &str) -> bool {
        let text = format!(
            "{ALGORITHM}-PAYLOAD\n{}\n{}\n{EMPTY_SHA256}\n{}",
            self.preamble,
            self.previous,
            hex::encode(sha256)
        );
        self.advance(&text, signature)
    }

    /// The trailer lines, `name:value\n` each, sorted by name.
    pub fn verify_trailers(&mut self, canonical: &str, signature: &str) -> bool {
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("{ALGORITHM}-TRAILER\n{}\n{}\n{digest}", self.preamble, self.previous);
        self.advance(&text, signature)
    }

    fn advance(&mut self, text: &str, signature: &str) -> bool {
        let verified = self.key.verifies(text.as_bytes(), signature);
        self.previous = signature.to_owned();
        verified
    }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = keyed(key);
    mac.update(data);
    mac.finalize().into_bytes().into()
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;

    // the example of the S3 documentation, "Signature calculations: transferring payload in multiple chunks"
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

    fn chain() -> ChunkChain {
        let credential = Credential::parse("AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request").expect("a scope");
        ChunkChain::new(SECRET, &credential, "20130524T000000Z", SEED)
    }

    #[test]
    fn the_documented_chunk_signatures_verify() {
        let mut chain = chain();
        let first: [u8; 32] = Sha256::digest(vec![b'a'; 65536]).into();
        assert!(chain.verify_chunk(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"));
        let second: [u8; 32] = Sha256::digest(vec![b'a'; 1024]).into();
        assert!(chain.verify_chunk(second, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"));
        let last: [u8; 32] = Sha256::digest(b"").into();
        assert!(chain.verify_chunk(last, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"));
    }

    #[test]
    fn a_changed_chunk_does_not_verify() {
        let first: [u8; 32] = Sha256::digest(vec![b'b'; 65536]).into();
        assert!(!chain().verify_chunk(first, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"));
        assert!(!chain().verify_chunk(first, "not hex"));
    }

    #[test]
    fn dates_are_exact_or_nothing() {
        assert_eq!(parse_amz_date("19700101T000001Z"), Some(Timestamp::from_millis(1000)));
        for bad in
            ["", "19700101T000001", "1970-101T000001Z", "19701301T000001Z", "19700101t000001Z", "+9700101T000001Z"]
        {
            assert_eq!(parse_amz_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_credential_has_five_fields() {
        assert!(Credential::parse("a/b/20130524/r/s3/aws4_request").is_some_and(|c| c.access_key_id == "a/b"));
        for bad in ["", "AK/20130524/r/s3", "AK/2013052/r/s3/aws4_request", "/20130524/r/s3/aws4_request"] {
            assert_eq!(Credential::parse(bad), None, "{bad}");
        }
    }
}
