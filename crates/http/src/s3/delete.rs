//! DeleteObject and DeleteObjects. Deleting what is not there succeeds, as in S3.

use super::conditions::matches;
use super::put::{address, bucket_name, check_version};
use super::visitor::Visitor;
use super::{Door, errors};
use filemill_core::etag::Etag;
use filemill_core::limits;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{BlobError, Missing, Precondition};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use serde_json::json;
use std::sync::Arc;

/// Of a long list, what the audit log keeps.
const KEYS_NOTED: usize = 100;

pub async fn object(door: &Arc<Door>, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let (bucket, key) = address(&input.bucket, &input.key)?;
    check_version(input.version_id.as_deref())?;
    if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
        return Err(no_such_condition());
    }
    let condition = match &input.if_match {
        None => Precondition::None,
        Some(ETagCondition::ETag(etag)) => Precondition::IfMatch(Etag::new(etag.value())),
        // the version that is there now, so that a racing replacement is not the one that goes
        Some(any) => match visitor.head(door, &bucket, &key).await? {
            info if matches(any, &info.etag) => Precondition::IfMatch(info.etag),
            _ => return Err(errors::precondition_failed()),
        },
    };
    if let Some(condition) = removable(door, &visitor, &bucket, &key, condition).await? {
        let deletion = remove(door, &bucket, &key, condition);
        let order = ("object.delete", key.as_str());
        let deleted = visitor.noted(door, Some(&bucket), order, json!({ "bucket": bucket }), deletion).await?;
        deleted.map_err(errors::of_store)?;
    }
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// S3 has them for directory buckets alone. A condition that is not looked at must not be passed over.
fn no_such_condition() -> S3Error {
    s3_error!(NotImplemented, "A deletion's condition is an ETag; time and size are not offered.")
}

/// The condition under which it goes; `None` if there is nothing of theirs to remove. What is another's is not there, and so
/// is neither removed nor told of.
async fn removable(
    door: &Arc<Door>,
    visitor: &Visitor,
    bucket: &BucketName,
    key: &ObjectKey,
    condition: Precondition,
) -> S3Result<Option<Precondition>> {
    let unconditional = condition == Precondition::None;
    match visitor.guard(door, bucket, key, &condition).await {
        Ok(Precondition::IfAbsent) => Ok(None),
        Err(e) if *e.code() == S3ErrorCode::AccessDenied && unconditional => Ok(None),
        Err(e) if *e.code() == S3ErrorCode::AccessDenied => Err(errors::of_store(BlobError::NotFound(Missing::Object))),
        guarded => guarded.map(Some),
    }
}

async fn remove(
    door: &Arc<Door>,
    bucket: &BucketName,
    key: &ObjectKey,
    condition: Precondition,
) -> Result<(), BlobError> {
    let is_bound = matches!(condition, Precondition::IfMatch(_));
    match door.store.delete(bucket, key, condition).await {
        Ok(_) => Ok(()),
        Err(BlobError::NotFound(Missing::Object)) if !is_bound => Ok(()),
        Err(e) => Err(e),
    }
}

pub async fn objects(
    door: &Arc<Door>,
    req: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let bucket = bucket_name(&req.input.bucket)?;
    let Delete { objects, quiet } = req.input.delete;
    if objects.is_empty() || objects.len() > limits::DELETE_OBJECTS_MAX {
        return Err(s3_error!(MalformedXML, "DeleteObjects takes 1 to {} keys.", limits::DELETE_OBJECTS_MAX));
    }
    super::buckets::require(door, &bucket).await?;
    let named: Vec<&str> = objects.iter().take(KEYS_NOTED).map(|object| object.key.as_str()).collect();
    let detail = json!({ "count": objects.len(), "keys": named });
    visitor.note(door, Some(&bucket), "object.delete", &bucket, detail).await?;
    let is_quiet = quiet.unwrap_or(false);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for object in objects {
        let name = object.key.clone();
        match remove_named(door, &visitor, &bucket, object).await {
            Ok(()) if is_quiet => {}
            Ok(()) => deleted.push(DeletedObject { key: Some(name), ..DeletedObject::default() }),
            Err(error) => errors.push(of_error(name, &error)),
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted),
        errors: Some(errors),
        ..DeleteObjectsOutput::default()
    }))
}

async fn remove_named(
    door: &Arc<Door>,
    visitor: &Visitor,
    bucket: &BucketName,
    object: ObjectIdentifier,
) -> S3Result<()> {
    let key = ObjectKey::parse(&object.key).map_err(|e| errors::of_name(&e))?;
    check_version(object.version_id.as_deref())?;
    if object.last_modified_time.is_some() || object.size.is_some() {
        return Err(no_such_condition());
    }
    let condition = object.e_tag.map_or(Precondition::None, |etag| Precondition::IfMatch(Etag::new(etag.value())));
    if !visitor.covers(bucket, &key) {
        return Err(s3_error!(AccessDenied, "Access Denied"));
    }
    match removable(door, visitor, bucket, &key, condition).await? {
        Some(condition) => remove(door, bucket, &key, condition).await.map_err(errors::of_store),
        None => Ok(()),
    }
}

fn of_error(key: String, error: &S3Error) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        key: Some(key),
        message: error.message().map(str::to_owned),
        version_id: None,
    }
}
