//! ListObjects, versions 1 and 2, and the url encoding of listings.
//!
//! A page is one call of the store. A continuation token is the last entry of the page, in base64: it stays valid
//! through restarts and whatever is written or deleted in between.

use super::buckets::owner;
use super::conditions::{strong, timestamp};
use super::expectations::name_of;
use super::put::{bucket_name, scope_name};
use super::visitor::Visitor;
use super::{Door, errors};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use filemill_core::limits;
use filemill_core::object::ObjectInfo;
use filemill_core::ports::{ListObjects, ObjectList};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;

pub async fn v2(door: &Arc<Door>, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let after = match &input.continuation_token {
        Some(token) => Some(read_token(token)?),
        None => input.start_after.clone().filter(|text| !text.is_empty()),
    };
    let page = Page::of(input.max_keys)?;
    let query = page.query(&visitor, &input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), after)?;
    let list = page.fetch(door, query).await?;
    let with_owner = input.fetch_owner.unwrap_or(false);
    let contents: Vec<Object> = list.objects.iter().map(|info| entry(info, encoding, with_owner)).collect();
    let common_prefixes = prefixes(&list, encoding);
    Ok(S3Response::new(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.as_deref().unwrap_or_default())),
        max_keys: Some(page.max_keys),
        key_count: i32::try_from(contents.len() + common_prefixes.len()).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(list.next.is_some()),
        next_continuation_token: list.next.as_deref().map(write_token),
        contents: Some(contents),
        common_prefixes: Some(common_prefixes),
        delimiter: input.delimiter.as_deref().map(|text| encoding.text(text)),
        encoding_type: input.encoding_type,
        start_after: input.start_after.as_deref().map(|text| encoding.text(text)),
        ..ListObjectsV2Output::default()
    }))
}

pub async fn v1(door: &Arc<Door>, req: S3Request<ListObjectsInput>) -> S3Result<S3Response<ListObjectsOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let encoding = Encoding::of(input.encoding_type.as_ref())?;
    let after = input.marker.clone().filter(|text| !text.is_empty());
    let page = Page::of(input.max_keys)?;
    let query = page.query(&visitor, &input.bucket, input.prefix.as_deref(), input.delimiter.as_deref(), after)?;
    let list = page.fetch(door, query).await?;
    Ok(S3Response::new(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(encoding.text(input.prefix.as_deref().unwrap_or_default())),
        marker: Some(encoding.text(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(page.max_keys),
        is_truncated: Some(list.next.is_some()),
        contents: Some(list.objects.iter().map(|info| entry(info, encoding, true)).collect()),
        common_prefixes: Some(prefixes(&list, encoding)),
        delimiter: input.delimiter.as_deref().map(|text| encoding.text(text)),
        // S3 sends it with a delimiter only; without one the last key says the same
        next_marker: list.next.as_deref().filter(|_| input.delimiter.is_some()).map(|text| encoding.text(text)),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    }))
}

/// How much was asked for.
struct Page {
    max_keys: i32,
    limit: u32,
}

impl Page {
    fn of(max_keys: Option<i32>) -> S3Result<Self> {
        let most = i32::try_from(limits::LIST_OBJECTS_MAX).unwrap_or(i32::MAX);
        let max_keys = max_keys.unwrap_or(most).min(most);
        let limit =
            u32::try_from(max_keys).map_err(|_| s3_error!(InvalidArgument, "max-keys must not be negative."))?;
        Ok(Page { max_keys, limit })
    }

    fn query(
        &self,
        visitor: &Visitor,
        bucket: &str,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        after: Option<String>,
    ) -> S3Result<ListObjects> {
        visitor.check_listing(bucket, prefix.unwrap_or_default())?;
        Ok(ListObjects {
            owner: visitor.who.reach.owner.clone(),
            bucket: bucket_name(bucket)?,
            prefix: prefix.unwrap_or_default().to_owned(),
            delimiter: delimiter.filter(|text| !text.is_empty()).map(str::to_owned),
            after,
            limit: self.limit,
        })
    }

    /// A page of nothing is not truncated.
    async fn fetch(&self, door: &Arc<Door>, query: ListObjects) -> S3Result<ObjectList> {
        if self.limit == 0 {
            super::buckets::require(door, &query.bucket).await?;
            return Ok(ObjectList::default());
        }
        door.store.list(&query).await.map_err(errors::of_store)
    }
}

fn entry(info: &ObjectInfo, encoding: Encoding, with_owner: bool) -> Object {
    let algorithms = info.checksums.values.keys().map(|algorithm| ChecksumAlgorithm::from_static(name_of(*algorithm)));
    let algorithms: Vec<ChecksumAlgorithm> = algorithms.collect();
    Object {
        checksum_type: (!algorithms.is_empty()).then(|| scope_name(info.checksums.scope)),
        checksum_algorithm: (!algorithms.is_empty()).then_some(algorithms),
        e_tag: Some(strong(&info.etag)),
        key: Some(encoding.text(&info.key)),
        last_modified: Some(timestamp(info.modified_at)),
        owner: with_owner.then(owner),
        size: i64::try_from(info.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        ..Object::default()
    }
}

fn prefixes(list: &ObjectList, encoding: Encoding) -> Vec<CommonPrefix> {
    list.common_prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(encoding.text(prefix)) }).collect()
}

fn write_token(last: &str) -> String {
    URL_SAFE_NO_PAD.encode(last)
}

fn read_token(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty());
    text.ok_or_else(|| s3_error!(InvalidArgument, "The continuation token provided is incorrect"))
}

/// `encoding-type`: keys may hold what XML cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Url,
}

/// Everything but the unreserved characters and the slash; a space is `%20` and a plus is `%2B`, so that a client may
/// decode either as a path or as a form.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

impl Encoding {
    pub fn of(encoding_type: Option<&EncodingType>) -> S3Result<Self> {
        match encoding_type.map(EncodingType::as_str) {
            None | Some("") => Ok(Encoding::Plain),
            Some("url") => Ok(Encoding::Url),
            Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
        }
    }

    pub fn text(self, text: &str) -> String {
        match self {
            Encoding::Plain => text.to_owned(),
            Encoding::Url => utf8_percent_encode(text, KEPT).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_encoding_is_unambiguous() {
        assert_eq!(Encoding::Url.text("a b+c%2F/é\r\n*"), "a%20b%2Bc%252F/%C3%A9%0D%0A%2A");
        assert_eq!(Encoding::Plain.text("a b+c"), "a b+c");
    }

    #[test]
    fn a_token_holds_any_key() {
        for key in ["a", "é/\r\n", "k~"] {
            assert_eq!(read_token(&write_token(key)).expect("our own token"), key);
        }
        assert!(read_token("?").is_err() && read_token("").is_err());
    }
}
