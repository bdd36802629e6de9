//! POST Object: an upload by a browser's form, under a signed policy.
//!
//! The policy is verified before the file is read; the file is then held in memory until it is stored, within the policy's
//! own limit and ours. `s3s` never sees a form: it takes no `${filename}` and refuses signatures older than 15 minutes.

use super::attributes::Described;
use super::checksums::Hasher;
use super::conditions::strong;
use super::errors::{self, Refusal};
use super::expectations::{ALGORITHMS, Expectations, header_of, is_digest};
use super::form_data::{Boundary, FIELDS_BYTES_MAX, FormHead};
use super::incoming::IncomingBody;
use super::post_policy::Policy;
use super::precheck::check_scope;
use super::put::{Offered, address};
use super::visitor::{Visitor, of_write};
use super::xml_text::escape;
use super::{Door, tagging};
use crate::serve::PeerAddress;
use crate::signature::{ALGORITHM, Credential, SigningKey, parse_amz_date};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use filemill_core::key::LINK_KEY;
use filemill_core::limits;
use filemill_core::object::{Attributes, ObjectInfo};
use filemill_core::ports::{Durability, Precondition, PutObject, Staged};
use futures::StreamExt as _;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use s3s::dto::{ObjectCannedACL, StorageClass, Timestamp, TimestampFormat};
use s3s::path::S3Path;
use s3s::xml::Deserialize as _;
use s3s::{Body, S3Error, S3Result, s3_error};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;

type Fields = BTreeMap<String, String>;

/// Stands for the name of the file.
const FILE_NAME: &str = "${filename}";

pub fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    head.method == Method::POST && kind.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

pub async fn post_object(door: &Arc<Door>, head: &Parts, body: IncomingBody) -> Result<Response<Body>, Refusal> {
    let bucket = bucket_of(head)?;
    let declared = head.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits::POST_FORM_BYTES_MAX) {
        return Err(errors::entity_too_large(limits::POST_FORM_BYTES_MAX).into());
    }
    let boundary = Boundary::of(&head.headers)?;
    let mut form = Form { body, buffer: Vec::new() };
    let FormHead { mut fields, file_name, content_start } = form.read_head(&boundary).await?;
    let (policy, visitor) = verify_policy(door, &fields).await?;
    let visitor = visitor.at(head.extensions.get::<PeerAddress>());
    door.admit(&visitor)?;
    fill_in(&mut fields, &file_name)?;
    if fields.insert("bucket".to_owned(), bucket.clone()).is_some_and(|given| given != bucket) {
        return Err(s3_error!(AccessDenied, "The form's bucket is not that of the URL.").into());
    }
    let key = fields.get("key").cloned().unwrap_or_default();
    visitor.check("PostObject", &S3Path::object(&bucket, &key))?;
    let size_max = policy.size_max().unwrap_or(u64::MAX).min(door.object_bytes_max(&bucket));
    // the form without its fields is no longer than the declared length
    errors::check_room(door.store.room(), declared.unwrap_or(0).saturating_sub(content_start as u64))?;
    let place = door.forms.enter()?;
    let content = place.read(form.read_file(&boundary, content_start, size_max)).await?;
    policy.check(&fields, content.len() as u64)?;
    let info = store(door, &visitor, &bucket, &fields, content).await?;
    Ok(answer(head, &fields, &info))
}

/// S3: any field may name the file. The policy's conditions are about the fields as they are then, which may be no longer
/// than they may be sent.
fn fill_in(fields: &mut Fields, file_name: &str) -> S3Result<()> {
    let mut length = 0;
    for value in fields.values_mut() {
        length += value.len() + value.matches(FILE_NAME).count() * file_name.len();
        if length > FIELDS_BYTES_MAX {
            return Err(fields_too_long());
        }
        *value = value.replace(FILE_NAME, file_name);
    }
    Ok(())
}

fn bucket_of(head: &Parts) -> S3Result<String> {
    let path = percent_decode_str(head.uri.path()).decode_utf8().map_err(|_| s3_error!(InvalidURI))?;
    let bucket = path.trim_start_matches('/').trim_end_matches('/');
    if bucket.is_empty() || bucket.contains('/') {
        return Err(s3_error!(MethodNotAllowed, "A form is posted to its bucket; the key is one of its fields."));
    }
    Ok(bucket.to_owned())
}

/// A form as far as it has come.
struct Form {
    body: IncomingBody,
    buffer: Vec<u8>,
}

impl Form {
    async fn read_more(&mut self) -> S3Result<()> {
        let piece = self.body.next().await.ok_or_else(errors::incomplete_body)?;
        self.buffer.extend_from_slice(&piece.map_err(|e| errors::of_body(&e))?);
        Ok(())
    }

    async fn read_head(&mut self, boundary: &Boundary) -> S3Result<FormHead> {
        loop {
            if let Some(head) = boundary.read_head(&self.buffer)? {
                if head.content_start > FIELDS_BYTES_MAX {
                    return Err(fields_too_long());
                }
                return Ok(head);
            }
            if self.buffer.len() > FIELDS_BYTES_MAX {
                return Err(fields_too_long());
            }
            self.read_more().await?;
        }
    }

    /// The file's bytes; what comes behind it is ignored, as S3 does.
    async fn read_file(mut self, boundary: &Boundary, start: usize, size_max: u64) -> S3Result<Bytes> {
        let mut searched = start;
        loop {
            let end = boundary.find_end(&self.buffer[searched..]).map(|length| searched + length);
            // a boundary may begin in what has come so far
            searched = end.unwrap_or(self.buffer.len().saturating_sub(256).max(start));
            if (searched - start) as u64 > size_max {
                return Err(errors::entity_too_large(size_max));
            }
            if end.is_some() {
                self.buffer.truncate(searched);
                return Ok(Bytes::from(self.buffer).slice(start..));
            }
            if self.buffer.len() as u64 > limits::POST_FORM_BYTES_MAX {
                return Err(errors::entity_too_large(limits::POST_FORM_BYTES_MAX));
            }
            self.read_more().await?;
        }
    }
}

fn fields_too_long() -> S3Error {
    s3_error!(MaxPostPreDataLengthExceededError, "Your POST request fields preceding the upload file were too large.")
}

async fn verify_policy(door: &Door, fields: &Fields) -> Result<(Policy, Visitor), Refusal> {
    let field = |name: &str| fields.get(name).map(String::as_str);
    if field("awsaccesskeyid").is_some() || field("signature").is_some() {
        return Err(s3_error!(
            InvalidRequest,
            "The authorization mechanism you have provided is not supported. Please use {ALGORITHM}."
        )
        .into());
    }
    let text = field("policy").ok_or_else(|| s3_error!(AccessDenied, "Access Denied: the form has no policy."))?;
    let missing = |name: &str| s3_error!(InvalidArgument, "Bucket POST must contain a field named '{name}'.");
    let required = |name: &str| field(name).ok_or_else(|| missing(name));
    if required("x-amz-algorithm")? != ALGORITHM {
        return Err(s3_error!(InvalidArgument, "X-Amz-Algorithm only supports \"{ALGORITHM}\".").into());
    }
    let credential = Credential::parse(required("x-amz-credential")?);
    let credential = credential.ok_or_else(|| s3_error!(InvalidArgument, "x-amz-credential is malformed."))?;
    check_scope(door, &credential)?;
    let date = required("x-amz-date")?;
    let now = door.clock.now();
    let signed_at = parse_amz_date(date).filter(|_| date.starts_with(&credential.date));
    let signed_at = signed_at
        .ok_or_else(|| s3_error!(InvalidArgument, "x-amz-date is malformed or not of the credential's day."))?;
    if signed_at.since(now) > limits::CLOCK_SKEW_MAX {
        return Err(s3_error!(RequestTimeTooSkewed, "The form is dated in the future.").into());
    }
    let visitor = door.recognise(&credential.access_key_id, field(LINK_KEY)).await?;
    if !SigningKey::derive(&visitor.secret_access_key, &credential)
        .verifies(text.as_bytes(), required("x-amz-signature")?)
    {
        return Err(s3_error!(SignatureDoesNotMatch, "The policy's signature does not match.").into());
    }
    let json = STANDARD.decode(text).map_err(|_| s3_error!(InvalidPolicyDocument, "The policy is not base64."))?;
    let policy = Policy::parse(&json)?;
    if now >= policy.expires_at {
        return Err(s3_error!(AccessDenied, "Invalid according to Policy: Policy expired.").into());
    }
    Ok((policy, visitor))
}

async fn store(
    door: &Arc<Door>,
    visitor: &Visitor,
    bucket: &str,
    fields: &Fields,
    content: Bytes,
) -> S3Result<ObjectInfo> {
    let key =
        fields.get("key").ok_or_else(|| s3_error!(InvalidArgument, "Bucket POST must contain a field named 'key'."))?;
    let (bucket, key) = address(bucket, key)?;
    let attributes = Attributes { owner: visitor.owner(), ..attributes_of(fields)? };
    let condition = visitor.guard(door, &bucket, &key, &Precondition::None).await?;
    let expectations = Expectations { checksum: checksum_of(fields)?, ..Expectations::default() };
    let turn = door.crews.clone().acquire_owned().await;
    let door_store = door.store.clone();
    let staging = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let size = content.len() as u64;
        let mut hasher = Hasher::new(expectations, size);
        hasher.update(&content);
        let verified = hasher.finish(&[])?;
        if size <= limits::INLINE_BYTES_MAX {
            return Ok((Staged::inline(Bytes::copy_from_slice(&content)), verified));
        }
        let mut writer = door_store.stage(Some(size)).map_err(errors::of_store)?;
        writer.write_all(&content).map_err(errors::of_stage)?;
        Ok::<_, S3Error>((writer.finish().map_err(errors::of_store)?, verified))
    });
    let (staged, verified) = staging.await.map_err(errors::of_join)??;
    let put = PutObject { bucket, key, attributes, checksums: verified.checksums, etag: verified.etag, condition };
    door.store.put(put, staged, Durability::Synced).await.map_err(|e| of_write(e, &Precondition::None))
}

fn attributes_of(fields: &Fields) -> S3Result<Attributes> {
    let field = |name: &str| fields.get(name).cloned();
    Offered {
        acl: field("acl").or_else(|| field("x-amz-acl")).map(ObjectCannedACL::from).as_ref(),
        storage_class: field("x-amz-storage-class").map(StorageClass::from).as_ref(),
        server_side_encryption: field("x-amz-server-side-encryption").map(Into::into).as_ref(),
        customer_key: fields.contains_key("x-amz-server-side-encryption-customer-algorithm"),
        object_lock: fields.contains_key("x-amz-object-lock-mode"),
        redirect: fields.contains_key("x-amz-website-redirect-location"),
    }
    .check()?;
    if fields.contains_key("x-amz-security-token") {
        return Err(s3_error!(InvalidToken, "Temporary credentials are not offered here."));
    }
    for (name, value) in fields.iter().filter(|(name, _)| is_attribute(name)) {
        let is_header = HeaderValue::from_str(value).is_ok() && http::HeaderName::try_from(name.as_str()).is_ok();
        if !is_header {
            return Err(s3_error!(InvalidArgument, "The form field {name:?} cannot be a header."));
        }
    }
    let metadata = fields.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("x-amz-meta-").filter(|name| !name.is_empty())?;
        Some((name.to_owned(), value.clone()))
    });
    let expires = field("expires").map(|text| Timestamp::parse(TimestampFormat::HttpDate, &text));
    let mut attributes = Described {
        content_type: field("content-type"),
        cache_control: field("cache-control"),
        content_disposition: field("content-disposition"),
        content_encoding: field("content-encoding"),
        content_language: field("content-language"),
        expires: expires.transpose().map_err(|_| s3_error!(InvalidArgument, "Expires is not an HTTP date."))?,
        metadata: Some(metadata.collect()),
        tagging: None,
    }
    .into_attributes(None)?;
    if let Some(document) = fields.get("tagging") {
        attributes.tags = tags_of(document)?;
    }
    Ok(attributes)
}

fn is_attribute(name: &str) -> bool {
    let headers =
        ["content-type", "cache-control", "content-disposition", "content-encoding", "content-language", "expires"];
    headers.contains(&name) || name.starts_with("x-amz-meta-")
}

/// In a form, tags are an XML document.
fn tags_of(document: &str) -> S3Result<tagging::Tags> {
    let mut deserializer = s3s::xml::Deserializer::new(document.as_bytes());
    let tagging = s3s::dto::Tagging::deserialize(&mut deserializer);
    tagging::of_set(
        tagging.map_err(|_| s3_error!(MalformedXML, "The field 'tagging' is not a Tagging document."))?.tag_set,
    )
}

fn checksum_of(fields: &Fields) -> S3Result<Option<(filemill_core::checksum::ChecksumAlgorithm, String)>> {
    let given =
        ALGORITHMS.into_iter().find_map(|algorithm| Some((algorithm, fields.get(header_of(algorithm))?.clone())));
    match given {
        Some((algorithm, value)) if !is_digest(algorithm, &value) => {
            Err(s3_error!(InvalidRequest, "Value for {} is invalid.", header_of(algorithm)))
        }
        given => Ok(given),
    }
}

fn answer(head: &Parts, fields: &Fields, info: &ObjectInfo) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    let key = super::list::Encoding::Url.text(&info.key);
    let host = head.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    let location =
        host.map_or_else(|| format!("/{}/{key}", info.bucket), |host| format!("http://{host}/{}/{key}", info.bucket));
    let set = |response: &mut Response<Body>, name, text: String| {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    };
    if let Ok(etag) = strong(&info.etag).to_http_header() {
        response.headers_mut().insert(header::ETAG, etag);
    }
    if let Some(target) = redirect_of(fields, info) {
        *response.status_mut() = StatusCode::SEE_OTHER;
        set(&mut response, header::LOCATION, target);
        return response;
    }
    set(&mut response, header::LOCATION, location.clone());
    match fields.get("success_action_status").map(String::as_str) {
        Some("200") => {}
        Some("201") => {
            *response.status_mut() = StatusCode::CREATED;
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
            *response.body_mut() = Body::from(created_document(&location, info));
        }
        _ => *response.status_mut() = StatusCode::NO_CONTENT,
    }
    response
}

/// S3 ignores what is no web address.
fn redirect_of(fields: &Fields, info: &ObjectInfo) -> Option<String> {
    let target = fields.get("success_action_redirect").or_else(|| fields.get("redirect"))?;
    let mut target = url::Url::parse(target).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    target
        .query_pairs_mut()
        .append_pair("bucket", &info.bucket)
        .append_pair("key", &info.key)
        .append_pair("etag", &info.etag.quoted());
    Some(target.into())
}

fn created_document(location: &str, info: &ObjectInfo) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{}</Location><Bucket>{}</Bucket><Key>{}</Key><ETag>{}</ETag></PostResponse>",
        escape(location),
        escape(&info.bucket),
        escape(&info.key),
        escape(&info.etag.quoted())
    )
}
