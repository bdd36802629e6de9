//! Buckets, and the bucket settings that real clients look at: what does not exist here is answered as "not set".

use super::conditions::timestamp;
use super::put::{address, bucket_name};
use super::visitor::Visitor;
use super::{Door, errors};
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use serde_json::Value;
use std::sync::Arc;

pub async fn create(door: &Arc<Door>, req: S3Request<CreateBucketInput>) -> S3Result<S3Response<CreateBucketOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let bucket = bucket_name(&req.input.bucket)?;
    let constraint = req.input.create_bucket_configuration.and_then(|configuration| configuration.location_constraint);
    if constraint.is_some_and(|region| !region.as_str().is_empty() && !door.is_here(region.as_str())) {
        return Err(s3_error!(
            InvalidLocationConstraint,
            "The specified location-constraint is not valid; this region is {}.",
            door.region
        ));
    }
    if req.input.acl.is_some_and(|acl| acl.as_str() != "private") {
        return Err(s3_error!(AccessControlListNotSupported, "Buckets here have no ACLs; use presigned URLs."));
    }
    if req.input.object_lock_enabled_for_bucket == Some(true) {
        return Err(s3_error!(NotImplemented, "Object lock is not offered."));
    }
    let creation = door.store.create_bucket(&bucket);
    let created = visitor.noted(door, None, ("bucket.create", &bucket), Value::Null, creation).await?;
    created.map_err(errors::of_store)?;
    Ok(S3Response::new(CreateBucketOutput { location: Some(format!("/{bucket}")) }))
}

pub async fn head(door: &Arc<Door>, req: S3Request<HeadBucketInput>) -> S3Result<S3Response<HeadBucketOutput>> {
    require(door, &req.input.bucket).await?;
    Ok(S3Response::new(HeadBucketOutput { bucket_region: Some(door.region.clone()), ..HeadBucketOutput::default() }))
}

pub async fn delete(door: &Arc<Door>, req: S3Request<DeleteBucketInput>) -> S3Result<S3Response<DeleteBucketOutput>> {
    let (visitor, bucket) = (Visitor::of(&req.extensions)?, bucket_name(&req.input.bucket)?);
    let deletion = door.store.delete_bucket(&bucket);
    let deleted = visitor.noted(door, None, ("bucket.delete", &bucket), Value::Null, deletion).await?;
    deleted.map_err(errors::of_store)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub async fn list(door: &Arc<Door>, req: S3Request<ListBucketsInput>) -> S3Result<S3Response<ListBucketsOutput>> {
    let visitor = Visitor::of(&req.extensions)?;
    let input = req.input;
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.continuation_token.unwrap_or_default();
    let page = input.max_buckets.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(0));
    let mut infos = door.store.buckets().await.map_err(errors::of_store)?;
    infos.retain(|info| visitor.who.reach.touches(&info.name));
    infos.retain(|info| info.name.as_str().starts_with(&prefix) && info.name.as_str() > after.as_str());
    infos.sort_by(|a, b| a.name.cmp(&b.name));
    let more = infos.len() > page;
    infos.truncate(page);
    let continuation_token = if more { infos.last().map(|info| info.name.to_string()) } else { None };
    let buckets = infos
        .iter()
        .map(|info| Bucket {
            bucket_region: Some(door.region.clone()),
            creation_date: Some(timestamp(info.created_at)),
            name: Some(info.name.to_string()),
        })
        .collect();
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token,
        owner: Some(owner()),
        prefix: input.prefix,
    }))
}

pub async fn location(
    door: &Arc<Door>,
    req: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    require(door, &req.input.bucket).await?;
    let location_constraint = Some(BucketLocationConstraint::from(door.region.clone()));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint }))
}

pub async fn versioning(
    door: &Arc<Door>,
    req: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    require(door, &req.input.bucket).await?;
    Ok(S3Response::new(GetBucketVersioningOutput::default()))
}

pub async fn acl(door: &Arc<Door>, req: S3Request<GetBucketAclInput>) -> S3Result<S3Response<GetBucketAclOutput>> {
    require(door, &req.input.bucket).await?;
    Ok(S3Response::new(GetBucketAclOutput { grants: Some(vec![full_control()]), owner: Some(owner()) }))
}

pub async fn object_acl(
    door: &Arc<Door>,
    req: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let (bucket, key) = address(&req.input.bucket, &req.input.key)?;
    Visitor::of(&req.extensions)?.head(door, &bucket, &key).await?;
    let grants = Some(vec![full_control()]);
    Ok(S3Response::new(GetObjectAclOutput { grants, owner: Some(owner()), ..GetObjectAclOutput::default() }))
}

/// A setting that no bucket here has: 404 with the code that S3 gives for it.
pub async fn not_set<T>(door: &Arc<Door>, bucket: &str, code: &'static str) -> S3Result<S3Response<T>> {
    require(door, bucket).await?;
    let mut error = S3Error::with_message(
        S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::NoSuchResource),
        "The bucket has no such configuration.",
    );
    error.set_status_code(http::StatusCode::NOT_FOUND);
    Err(error)
}

/// A setting that every bucket here has empty.
pub async fn empty<T: Default>(door: &Arc<Door>, bucket: &str) -> S3Result<S3Response<T>> {
    require(door, bucket).await?;
    Ok(S3Response::new(T::default()))
}

pub async fn require(door: &Arc<Door>, bucket: &str) -> S3Result<()> {
    let found = door.store.bucket(&bucket_name(bucket)?).await.map_err(errors::of_store)?;
    found.map(|_| ()).ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist."))
}

pub fn owner() -> Owner {
    Owner { display_name: Some("filemill".to_owned()), id: Some("filemill".to_owned()) }
}

fn full_control() -> Grant {
    Grant {
        grantee: Some(Grantee {
            display_name: owner().display_name,
            email_address: None,
            id: owner().id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}
