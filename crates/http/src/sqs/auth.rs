//! Who sent a request: SigV4 by header for service `sqs`, over the whole body, with the key pairs of the S3 door.
//!
//! The head is checked before a byte of the body is read. The comparison takes constant time.

use super::SqsConfig;
use super::errors::Refusal;
use super::protocol::Protocol;
use crate::s3::OWN;
use crate::signature::{ALGORITHM, Credential, SigningKey, parse_amz_date};
use filemill_core::access::Principal;
use filemill_core::audit::Actor;
use filemill_core::limits::CLOCK_SKEW_MAX;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

const SERVICE: &str = "sqs";
/// SigV4: all but these is encoded in a URL's query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A claim that is well-formed, recent and of a known key. Nothing is verified yet.
pub struct Claim {
    credential: Credential,
    amz_date: String,
    signature: String,
    /// As they were given: the signature covers this text.
    signed_headers: String,
    key: SigningKey,
    who: Principal,
}

/// Whose request it says it is. Nothing is verified.
pub fn is_signed_for_queues(headers: &HeaderMap) -> bool {
    let fields = only(headers, header::AUTHORIZATION.as_str()).and_then(|text| text.strip_prefix(ALGORITHM));
    let credential = fields.and_then(|fields| field(fields, "Credential")).and_then(Credential::parse);
    credential.is_some_and(|credential| credential.service == SERVICE)
}

pub async fn claim(config: &SqsConfig, protocol: Protocol, head: &Parts) -> Result<Claim, Refusal> {
    if protocol == Protocol::Json && head.uri.query().is_some() {
        return Err(Refusal::unsupported(
            "Parameters and signature go into the body and the headers, not into the URL.",
        ));
    }
    let [name, date] = [header::AUTHORIZATION.as_str(), "x-amz-date"].map(|name| only(&head.headers, name));
    let authorization = name.ok_or_else(Refusal::unsigned)?;
    let amz_date = date.ok_or_else(|| Refusal::signature_format("X-Amz-Date is missing or given twice."))?.to_owned();
    let fields = authorization.strip_prefix(ALGORITHM).ok_or_else(|| malformed("only AWS4-HMAC-SHA256 is taken"))?;
    let need = |name: &str| field(fields, name).ok_or_else(|| malformed(&format!("{name} is missing")));
    let credential = Credential::parse(need("Credential")?).ok_or_else(|| malformed("Credential is malformed"))?;
    check_scope(config, &credential)?;
    check_date(config, &credential, &amz_date)?;
    let signed_headers = need("SignedHeaders")?.to_owned();
    check_signed(&head.headers, &signed_headers)?;
    let signature = need("Signature")?.to_owned();
    let (secret, who) = holder_of(config, &credential.access_key_id).await?;
    let key = SigningKey::derive(&secret, &credential);
    Ok(Claim { signature, credential, amz_date, signed_headers, key, who })
}

/// Whose pair it is, and its secret.
async fn holder_of(config: &SqsConfig, access_key_id: &str) -> Result<(String, Principal), Refusal> {
    if let Some(pair) = config.credentials.iter().find(|pair| pair.access_key_id == access_key_id) {
        return Ok((pair.secret_access_key.clone(), Principal::unlimited(Actor::named(OWN))));
    }
    let engine = config.engine.as_ref().ok_or_else(Refusal::unknown_key)?;
    let known = engine.principal_of_access_key(access_key_id).await?;
    let secret = engine.s3_secret_of(access_key_id);
    secret.zip(known).ok_or_else(Refusal::unknown_key)
}

impl Claim {
    /// Whose request it is.
    pub fn verify(self, head: &Parts, body: &[u8]) -> Result<Principal, Refusal> {
        let digest = hex::encode(Sha256::digest(body));
        if only(&head.headers, "x-amz-content-sha256").is_some_and(|given| given != digest) {
            return Err(Refusal::signature());
        }
        let canonical = format!(
            "{}\n{}\n{}\n{}\n{}\n{digest}",
            head.method,
            head.uri.path(),
            canonical_query(head.uri.query().unwrap_or_default()),
            canonical_headers(&head.headers, &self.signed_headers),
            self.signed_headers
        );
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{}\n{digest}", self.amz_date, self.credential.scope());
        match self.key.verifies(text.as_bytes(), &self.signature) {
            true => Ok(self.who),
            false => Err(Refusal::signature()),
        }
    }
}

fn check_scope(config: &SqsConfig, credential: &Credential) -> Result<(), Refusal> {
    if credential.service != SERVICE {
        return Err(malformed(&format!("the credential's service is {:?}, not {SERVICE:?}", credential.service)));
    }
    if !config.regions.contains(&credential.region) {
        let [here, usual] = &config.regions;
        return Err(malformed(&format!(
            "the credential's region is {:?}; use {here:?} or {usual:?}",
            credential.region
        )));
    }
    Ok(())
}

fn check_date(config: &SqsConfig, credential: &Credential, amz_date: &str) -> Result<(), Refusal> {
    let at = parse_amz_date(amz_date).filter(|_| amz_date.starts_with(&credential.date));
    let at = at.ok_or_else(|| Refusal::signature_format("X-Amz-Date is malformed or not of the credential's day."))?;
    let now = config.clock.now();
    if now.since(at).max(at.since(now)) > CLOCK_SKEW_MAX {
        return Err(Refusal::skewed(format!("The request was signed at {at}; it is {now} here. Set the clock.")));
    }
    Ok(())
}

/// An unsigned header could change what was meant. The body's hash alone may be unsigned: the signature covers the body.
fn check_signed(headers: &HeaderMap, signed: &str) -> Result<(), Refusal> {
    let signs = |name: &str| signed.split(';').any(|s| s == name);
    let matters = |name: &&str| *name == "host" || name.starts_with("x-amz-") && *name != "x-amz-content-sha256";
    match headers.keys().map(HeaderName::as_str).filter(matters).find(|name| !signs(name)) {
        Some(name) => Err(Refusal::signature_format(format!("The header {name} must be signed."))),
        None if !signs("host") => Err(Refusal::signature_format("The header host must be signed.")),
        None if headers.contains_key("x-amz-security-token") => {
            Err(Refusal::forbidden_token("Temporary credentials are not offered here."))
        }
        None => Ok(()),
    }
}

/// Each part as it is meant, encoded in the one way and in order. A `+` is meant as a space.
fn canonical_query(query: &str) -> String {
    let encoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_encode(&percent_decode_str(&spaced).collect::<Vec<u8>>(), QUERY).to_string()
    };
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (encoded(name), encoded(value))
    };
    let mut pairs: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn canonical_headers(headers: &HeaderMap, signed: &str) -> String {
    let value_of = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let collapsed = values.map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        collapsed.collect::<Vec<_>>().join(",")
    };
    signed.split(';').map(|name| format!("{name}:{}\n", value_of(name))).collect()
}

/// Of an Authorization header, behind the algorithm.
fn field<'a>(fields: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
    fields.find(|(n, _)| *n == name).map(|(_, value)| value.trim())
}

/// The header's value if it is there once, as text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    value.to_str().ok()
}

fn malformed(why: &str) -> Refusal {
    Refusal::signature_format(format!("The Authorization header cannot be used: {why}."))
}
