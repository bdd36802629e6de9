//! What is checked before `s3s` sees a request, because it does not check it or not as S3 does.
//!
//! SigV4 only, a key of ours, our region or the usual one, sane dates, no unsigned `x-amz-*` header, no doubled parameter,
//! sizes known. The signature itself is verified by `s3s` on the same head; nothing here trusts a value before that.

use super::Door;
use super::errors::Refusal;
use super::expectations::Expectations;
use super::query::Query;
use super::upload::{ContentSha256, Framing, declared_length};
use crate::signature::{ALGORITHM, ChunkChain, Credential, parse_amz_date};
use filemill_core::key::LINK_KEY;
use filemill_core::limits;
use filemill_core::time::Timestamp;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use s3s::dto::Range;
use s3s::{S3Error, S3Result, s3_error};
use std::time::Duration;

/// Far above a key of 1,024 percent-encoded bytes and a presigned query.
const URL_BYTES_MAX: usize = 16 * 1024;

/// How a request says who sent it.
#[derive(Debug)]
pub struct Claim {
    pub credential: Credential,
    /// As it was sent; chunk signatures cover this text.
    pub amz_date: String,
    pub signature: String,
    signed_headers: Vec<String>,
    presigned: bool,
}

impl Claim {
    /// The key that a presigned link names. Only the service's own pair is believed.
    pub fn link_key<'a>(&self, query: &'a Query) -> Option<&'a str> {
        query.get(LINK_KEY).filter(|_| self.presigned)
    }

    fn signs(&self, header: &str) -> bool {
        self.signed_headers.iter().any(|signed| signed == header)
    }
}

pub fn check_url(head: &Parts) -> S3Result<()> {
    if head.uri.path().len() + head.uri.query().map_or(0, str::len) > URL_BYTES_MAX {
        let mut error = s3_error!(InvalidURI, "The URL is too long.");
        error.set_status_code(http::StatusCode::URI_TOO_LONG);
        return Err(error);
    }
    Ok(())
}

pub fn claim(door: &Door, head: &Parts, query: &Query) -> Result<Claim, Refusal> {
    refuse_v2(&head.headers, query)?;
    let by_header = head.headers.contains_key(header::AUTHORIZATION);
    let by_query = query.has("X-Amz-Signature") || query.has("X-Amz-Credential");
    let claim = match (by_header, by_query) {
        (true, true) => {
            return Err(s3_error!(
                InvalidArgument,
                "Only one auth mechanism allowed; use the query or the Authorization header."
            )
            .into());
        }
        (true, false) => header_claim(&head.headers)?,
        (false, true) => query_claim(query)?,
        (false, false) => return Err(s3_error!(AccessDenied, "Access Denied: requests must be signed.").into()),
    };
    check_scope(door, &claim.credential)?;
    if claim.presigned {
        check_expiry(door, query, &claim)?
    } else {
        check_skew(door, &claim)?
    }
    check_signed_headers(&head.headers, &claim)?;
    Ok(claim)
}

fn refuse_v2(headers: &HeaderMap, query: &Query) -> S3Result<()> {
    let by_header = headers.get_all(header::AUTHORIZATION).iter().any(|value| value.as_bytes().starts_with(b"AWS "));
    if by_header || query.has("AWSAccessKeyId") || query.has("Signature") {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
        ));
    }
    Ok(())
}

fn header_claim(headers: &HeaderMap) -> S3Result<Claim> {
    let malformed = || s3_error!(AuthorizationHeaderMalformed, "The authorization header is malformed.");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(malformed()) };
    let text = value.to_str().map_err(|_| malformed())?;
    let fields = text.strip_prefix(ALGORITHM).ok_or_else(malformed)?;
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(n, _)| *n == name).map(|(_, value)| value.trim().to_owned())
    };
    let date = headers.get("x-amz-date").and_then(|value| value.to_str().ok());
    Ok(Claim {
        credential: field("Credential").as_deref().and_then(Credential::parse).ok_or_else(malformed)?,
        amz_date: date
            .ok_or_else(|| s3_error!(AccessDenied, "AWS authentication requires a valid x-amz-date header"))?
            .to_owned(),
        signature: field("Signature").ok_or_else(malformed)?,
        signed_headers: split_names(&field("SignedHeaders").ok_or_else(malformed)?),
        presigned: false,
    })
}

fn query_claim(query: &Query) -> S3Result<Claim> {
    let value = |name: &str| {
        let missing = || {
            s3_error!(
                AuthorizationQueryParametersError,
                "Query-string authentication version 4 requires the {name} parameter."
            )
        };
        query.get(name).ok_or_else(missing)
    };
    if value("X-Amz-Algorithm")? != ALGORITHM {
        return Err(s3_error!(AuthorizationQueryParametersError, "X-Amz-Algorithm only supports \"{ALGORITHM}\"."));
    }
    let credential = Credential::parse(value("X-Amz-Credential")?);
    Ok(Claim {
        credential: credential
            .ok_or_else(|| s3_error!(AuthorizationQueryParametersError, "X-Amz-Credential is malformed."))?,
        amz_date: value("X-Amz-Date")?.to_owned(),
        signature: value("X-Amz-Signature")?.to_owned(),
        signed_headers: split_names(value("X-Amz-SignedHeaders")?),
        presigned: true,
    })
}

fn split_names(text: &str) -> Vec<String> {
    text.split(';').map(|name| name.trim().to_ascii_lowercase()).collect()
}

pub fn check_scope(door: &Door, credential: &Credential) -> Result<(), Refusal> {
    let malformed = |message: String| S3Error::with_message(s3s::S3ErrorCode::AuthorizationHeaderMalformed, message);
    if !door.is_here(&credential.region) {
        let message = format!("The region '{}' is wrong; expecting '{}'.", credential.region, door.region);
        return Err(Refusal::from(malformed(message)).with("Region", door.region.clone()));
    }
    if credential.service != "s3" {
        return Err(malformed("The credential's service must be 's3'.".to_owned()).into());
    }
    Ok(())
}

fn signed_at(claim: &Claim) -> S3Result<Timestamp> {
    let at = parse_amz_date(&claim.amz_date).filter(|_| claim.amz_date.starts_with(&claim.credential.date));
    at.ok_or_else(|| {
        s3_error!(
            AccessDenied,
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\" and of the credential's day"
        )
    })
}

fn check_skew(door: &Door, claim: &Claim) -> Result<(), Refusal> {
    let at = signed_at(claim)?;
    let now = door.clock.now();
    if now.since(at).max(at.since(now)) > limits::CLOCK_SKEW_MAX {
        return Err(too_skewed(claim, now));
    }
    Ok(())
}

fn too_skewed(claim: &Claim, now: Timestamp) -> Refusal {
    let error =
        s3_error!(RequestTimeTooSkewed, "The difference between the request time and the current time is too large.");
    Refusal::from(error)
        .with("RequestTime", claim.amz_date.clone())
        .with("ServerTime", now.to_string())
        .with("MaxAllowedSkewMilliseconds", limits::CLOCK_SKEW_MAX.as_millis().to_string())
}

fn check_expiry(door: &Door, query: &Query, claim: &Claim) -> Result<(), Refusal> {
    let text = query.get("X-Amz-Expires").unwrap_or_default();
    let max = limits::PRESIGN_MAX.as_secs();
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let secs = is_number.then(|| text.parse::<u64>().ok()).flatten().filter(|secs| (1..=max).contains(secs));
    let Some(secs) = secs else {
        return Err(s3_error!(
            AuthorizationQueryParametersError,
            "X-Amz-Expires must be a number of seconds between 1 and {max}."
        )
        .into());
    };
    let at = signed_at(claim)?;
    let now = door.clock.now();
    if at.since(now) > limits::CLOCK_SKEW_MAX {
        return Err(too_skewed(claim, now));
    }
    let ends = at.plus(Duration::from_secs(secs));
    if now > ends {
        return Err(Refusal::from(s3_error!(AccessDenied, "Request has expired"))
            .with("X-Amz-Expires", secs.to_string())
            .with("Expires", ends.to_string())
            .with("ServerTime", now.to_string()));
    }
    Ok(())
}

/// An unsigned header could make a link do more than its maker agreed to.
///
/// `x-amz-content-sha256` alone may be unsigned: it can only make the check of the body stricter.
fn check_signed_headers(headers: &HeaderMap, claim: &Claim) -> Result<(), Refusal> {
    if !claim.signs("host") {
        return Err(s3_error!(AccessDenied, "The host header must be signed.").into());
    }
    let unsigned = headers
        .keys()
        .map(HeaderName::as_str)
        .find(|name| name.starts_with("x-amz-") && *name != "x-amz-content-sha256" && !claim.signs(name));
    if let Some(name) = unsigned {
        let error = s3_error!(AccessDenied, "There were headers present in the request which were not signed");
        return Err(Refusal::from(error).with("HeadersNotSigned", name));
    }
    if headers.contains_key("x-amz-security-token") {
        return Err(s3_error!(InvalidToken, "Temporary credentials are not offered here.").into());
    }
    Ok(())
}

/// A range that cannot be read, or more than one, is no range (RFC 9110 section 14.2); `s3s` would refuse the request. A
/// signed one stays, because the signature covers it.
pub fn drop_odd_range(headers: &mut HeaderMap, claim: &Claim) {
    let mut ranges = headers.get_all(header::RANGE).iter();
    let is_one_range = |value: &HeaderValue| value.to_str().is_ok_and(|text| Range::parse(text).is_ok());
    let is_odd = ranges.next().is_some_and(|first| !is_one_range(first)) || ranges.next().is_some();
    if is_odd && !claim.signs(header::RANGE.as_str()) {
        headers.remove(header::RANGE);
    }
}

/// Some SDKs put `x-amz-*` headers into the query of a link. They are signed there and mean the same.
pub fn unfold_query_headers(query: &Query, headers: &mut HeaderMap) -> S3Result<()> {
    let own = [
        "algorithm",
        "credential",
        "date",
        "expires",
        "signedheaders",
        "signature",
        "content-sha256",
        "security-token",
    ];
    for (name, value) in query.pairs() {
        let lower = name.to_ascii_lowercase();
        let Some(rest) = lower.strip_prefix("x-amz-") else { continue };
        if own.contains(&rest) {
            continue;
        }
        let header = HeaderName::try_from(&lower).ok().zip(HeaderValue::try_from(value).ok());
        let (header, value) =
            header.ok_or_else(|| s3_error!(InvalidArgument, "A query parameter cannot be a header."))?;
        if headers.get(&header).is_some_and(|given| given != value) {
            return Err(s3_error!(InvalidArgument, "A header contradicts the signed query."));
        }
        headers.insert(header, value);
    }
    Ok(())
}

/// What `s3s` would pass over in silence: grants, and a part that lost half of its address.
pub fn check_offered(head: &Parts, query: &Query) -> S3Result<()> {
    if head.headers.keys().any(|name| name.as_str().starts_with("x-amz-grant-")) {
        return Err(s3_error!(AccessControlListNotSupported, "Nothing here has ACLs; use presigned URLs."));
    }
    if head.method == Method::PUT && query.has("uploadId") != query.has("partNumber") {
        return Err(s3_error!(InvalidArgument, "A part is put by uploadId and partNumber."));
    }
    Ok(())
}

/// Whether the request's body is the content of an object or of a part.
pub fn is_upload(head: &Parts, query: &Query) -> bool {
    let names_key = head.uri.path().trim_start_matches('/').split_once('/').is_some_and(|(_, key)| !key.is_empty());
    let is_setting = ["acl", "legal-hold", "retention", "tagging"].iter().any(|name| query.has(name));
    head.method == Method::PUT && names_key && !is_setting && !head.headers.contains_key("x-amz-copy-source")
}

/// The framing, length and expected digests of an upload. Whether its bucket takes that length is known once `s3s` has
/// read the bucket's name out of the path.
pub fn describe_upload(head: &Parts, claim: &Claim, secret: &str) -> S3Result<(Framing, u64, Expectations)> {
    let content = ContentSha256::of(&head.headers)?;
    let length = declared_length(&head.headers, content)?;
    let expectations = Expectations::of(&head.headers, content)?;
    let framing = match content {
        ContentSha256::Unsigned | ContentSha256::Is(_) => Framing::Plain,
        ContentSha256::UnsignedChunks => Framing::UnsignedChunks,
        ContentSha256::SignedChunks => {
            Framing::SignedChunks(ChunkChain::new(secret, &claim.credential, &claim.amz_date, &claim.signature))
        }
    };
    Ok((framing, length, expectations))
}

pub fn unknown_key() -> S3Error {
    s3_error!(InvalidAccessKeyId, "The AWS Access Key Id you provided does not exist in our records.")
}
