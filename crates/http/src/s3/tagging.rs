//! Object tags: `x-amz-tagging` and the tagging operations, within S3's limits.

use super::put::{address, check_version};
use super::visitor::Visitor;
use super::{Door, errors};
use filemill_core::limits;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeMap;
use std::sync::Arc;

pub type Tags = BTreeMap<String, String>;

/// `x-amz-tagging: a=1&b=2`, encoded as a query.
pub fn parse_header(text: &str) -> S3Result<Tags> {
    let pairs = url::form_urlencoded::parse(text.as_bytes());
    collect(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())))
}

pub fn of_set(set: TagSet) -> S3Result<Tags> {
    collect(set.into_iter().map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())))
}

fn collect(pairs: impl Iterator<Item = (String, String)>) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for (key, value) in pairs {
        if key.is_empty() || key.chars().count() > limits::TAG_KEY_CHARS_MAX {
            return Err(s3_error!(InvalidTag, "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > limits::TAG_VALUE_CHARS_MAX {
            return Err(s3_error!(InvalidTag, "The TagValue you have provided is invalid"));
        }
        if tags.insert(key, value).is_some() {
            return Err(s3_error!(InvalidTag, "Cannot provide multiple Tags with the same key"));
        }
    }
    if tags.len() > limits::TAGS_MAX {
        return Err(s3_error!(InvalidTag, "Object tags cannot be greater than {}", limits::TAGS_MAX));
    }
    Ok(tags)
}

pub async fn get(
    door: &Arc<Door>,
    req: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    let info = visitor.head(door, &bucket, &key).await?;
    let tags = info.attributes.tags.into_iter();
    let tag_set = tags.map(|(key, value)| Tag { key: Some(key), value: Some(value) }).collect();
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id: None }))
}

pub async fn put(
    door: &Arc<Door>,
    req: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    let tags = of_set(req.input.tagging.tag_set)?;
    visitor.head(door, &bucket, &key).await?;
    door.store.set_tags(&bucket, &key, tags).await.map_err(errors::of_store)?;
    Ok(S3Response::new(PutObjectTaggingOutput::default()))
}

pub async fn delete(
    door: &Arc<Door>,
    req: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    check_version(req.input.version_id.as_deref())?;
    visitor.head(door, &bucket, &key).await?;
    door.store.set_tags(&bucket, &key, Tags::new()).await.map_err(errors::of_store)?;
    Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_query() {
        let tags = parse_header("a%20b=1%2B2&c=").expect("good tags");
        assert_eq!(tags, Tags::from([("a b".into(), "1+2".into()), ("c".into(), String::new())]));
    }

    #[test]
    fn limits_are_those_of_s3() {
        let eleven: String = (0..11).map(|i| format!("k{i}=v&")).collect();
        let long_key = format!("{}=v", "k".repeat(129));
        for bad in [eleven.as_str(), long_key.as_str(), "a=1&a=2", "=v"] {
            assert!(parse_header(bad).is_err(), "{bad}");
        }
        assert!(parse_header(&format!("{}={}", "é".repeat(128), "é".repeat(256))).is_ok(), "characters, not bytes");
    }
}
