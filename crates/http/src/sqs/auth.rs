//! Who sent a request: SigV4 by header for service `sqs`, over the whole body, with the key pairs of the S3 door.
//!
//! The head is checked before a byte of the body is read. The comparison takes constant time.

use super::SqsConfig;
use super::errors::Refusal;
use crate::signature::{ALGORITHM, Credential, SigningKey, parse_amz_date};
use filemill_core::limits::CLOCK_SKEW_MAX;
use http::request::Parts;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

const SERVICE: &str = "sqs";

/// A claim that is well-formed, recent and of a known key. Nothing is verified yet.
pub struct Claim {
    credential: Credential,
    amz_date: String,
    signature: String,
    /// As they were given: the signature covers this text.
    signed_headers: String,
    key: SigningKey,
}

pub fn claim(config: &SqsConfig, head: &Parts) -> Result<Claim, Refusal> {
    if head.uri.query().is_some() {
        return Err(Refusal::unsupported(
            "Parameters and signature go into the body and the headers, not into the URL.",
        ));
    }
    let [name, date] = [header::AUTHORIZATION.as_str(), "x-amz-date"].map(|name| only(&head.headers, name));
    let authorization = name.ok_or_else(Refusal::unsigned)?;
    let amz_date = date.ok_or_else(|| Refusal::signature_format("X-Amz-Date is missing or given twice."))?.to_owned();
    let fields = authorization.strip_prefix(ALGORITHM).ok_or_else(|| malformed("only AWS4-HMAC-SHA256 is taken"))?;
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        let found = fields.find(|(n, _)| *n == name).map(|(_, value)| value.trim().to_owned());
        found.ok_or_else(|| malformed(&format!("{name} is missing")))
    };
    let credential = Credential::parse(&field("Credential")?).ok_or_else(|| malformed("Credential is malformed"))?;
    check_scope(config, &credential)?;
    check_date(config, &credential, &amz_date)?;
    let signed_headers = field("SignedHeaders")?;
    check_signed(&head.headers, &signed_headers)?;
    let pair = config.credentials.iter().find(|pair| pair.access_key_id == credential.access_key_id);
    let key = SigningKey::derive(&pair.ok_or_else(Refusal::unknown_key)?.secret_access_key, &credential);
    Ok(Claim { signature: field("Signature")?, credential, amz_date, signed_headers, key })
}

impl Claim {
    pub fn verify(&self, head: &Parts, body: &[u8]) -> Result<(), Refusal> {
        let digest = hex::encode(Sha256::digest(body));
        if only(&head.headers, "x-amz-content-sha256").is_some_and(|given| given != digest) {
            return Err(Refusal::signature());
        }
        let canonical = format!(
            "{}\n{}\n\n{}\n{}\n{digest}",
            head.method,
            head.uri.path(),
            canonical_headers(&head.headers, &self.signed_headers),
            self.signed_headers
        );
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("{ALGORITHM}\n{}\n{}\n{digest}", self.amz_date, self.credential.scope());
        if self.key.verifies(text.as_bytes(), &self.signature) { Ok(()) } else { Err(Refusal::signature()) }
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

fn canonical_headers(headers: &HeaderMap, signed: &str) -> String {
    let value_of = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let collapsed = values.map(|value| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "));
        collapsed.collect::<Vec<_>>().join(",")
    };
    signed.split(';').map(|name| format!("{name}:{}\n", value_of(name))).collect()
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
