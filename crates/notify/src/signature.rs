//! Signatures by the Standard Webhooks scheme: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
//!
//! Two keys give two signatures, so that receivers can change theirs without a gap. Keys are never shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

const PREFIX: &str = "whsec_";
/// Standard Webhooks: 24 to 64 bytes.
const KEY_BYTES_MIN: usize = 24;
const KEY_BYTES_MAX: usize = 64;

/// One key, or two while they are being changed; the newer one first.
#[derive(Clone)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Each written `whsec_` and base64. The error does not repeat what was given.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let keys = texts.into_iter().map(key).collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            1 | 2 => Ok(Keys(keys)),
            n => Err(format!("{n} keys; give one, or two while they are being changed")),
        }
    }

    /// The value of `webhook-signature`.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body);
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(text: &str) -> Result<Vec<u8>, String> {
    let wrong = || {
        format!(
            "a signing key is \"{PREFIX}\" and the base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} random bytes; make one \
                 with: echo {PREFIX}$(openssl rand -base64 32)"
        )
    };
    let encoded = text.trim().strip_prefix(PREFIX).ok_or_else(wrong)?;
    let bytes = STANDARD.decode(encoded).map_err(|_| wrong())?;
    if (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes.len()) { Ok(bytes) } else { Err(wrong()) }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's own libraries.
    #[test]
    fn the_specification_s_example_has_its_signature() {
        let keys = Keys::parse(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).expect("a key");
        let signed = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_give_two_signatures_and_none_is_shown() {
        let (old, new) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        let sign = |keys: &[&str]| Keys::parse(keys.iter().copied()).expect("keys").sign("id", 1, b"x");
        assert_eq!(sign(&[new, old]), format!("{} {}", sign(&[new]), sign(&[old])));
        assert_eq!(format!("{:?}", Keys::parse([old]).expect("a key")), "Keys(1)");
        for bad in [&["secret"][..], &["whsec_x"], &["whsec_AAAA"], &[], &[old, old, old]] {
            let error = Keys::parse(bad.iter().copied()).expect_err("refused");
            assert!(!error.contains("AAAA"), "{error}");
        }
    }
}
