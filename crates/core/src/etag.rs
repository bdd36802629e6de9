//! Entity tags as S3 makes them: the MD5 of a single PUT, or of the parts' MD5s with `-N` behind it.
//!
//! An ETag is opaque to readers. Results of jobs have tags made from the store's own content checksum.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// Without the quotes that HTTP puts around it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Etag(Arc<str>);

impl Etag {
    /// Accepts the tag with or without quotes.
    pub fn new(text: &str) -> Self {
        Etag(text.trim().trim_matches('"').into())
    }

    pub fn from_md5(digest: [u8; 16]) -> Self {
        Etag(hex::encode(digest).into())
    }

    pub fn md5_of(content: &[u8]) -> Self {
        Etag::from_md5(Md5::digest(content).into())
    }

    /// The tag of an object made of parts: MD5 over the parts' MD5s (or over a tag's text where it is no MD5).
    pub fn of_parts<'a>(parts: impl ExactSizeIterator<Item = &'a Etag>) -> Self {
        let count = parts.len();
        let mut hash = Md5::new();
        for part in parts {
            match hex::decode(part.as_str()) {
                Ok(digest) if digest.len() == 16 => hash.update(&digest),
                _ => hash.update(part.as_str().as_bytes()),
            }
        }
        Etag(format!("{}-{count}", hex::encode(hash.finalize())).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0)
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multipart_tag_is_the_md5_of_the_parts_md5s() {
        // two parts "a" and "b": md5(md5("a") ++ md5("b"))
        let a = Etag::new("\"0cc175b9c0f1b6a831c399e269772661\"");
        let b = Etag::new("92eb5ffee6ae2fec3ad71c777531578f");
        assert_eq!(Etag::of_parts([&a, &b].into_iter()).as_str(), "96e024ba2074fe77e8e965ba43a704be-2");
    }
}
