//! The table of what this door answers: one line an operation, each leading to its room.
//!
//! Every operation that is not here is 501 NotImplemented by `s3s`, after the signature was checked.

use super::{Door, buckets, copy, delete, get, list, multipart, multipart_complete, put, tagging};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};
use std::sync::Arc;

pub struct Operations {
    door: Arc<Door>,
}

impl Operations {
    pub fn new(door: Arc<Door>) -> Self {
        Operations { door }
    }
}

macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident = $answer:expr;)*) => {
        #[async_trait::async_trait]
        impl S3 for Operations {
            $(async fn $name(&self, req: S3Request<$input>) -> S3Result<S3Response<$output>> {
                $answer(&self.door, req).await
            })*
        }
    };
}

/// A bucket setting that does not exist here, by the error code that S3 has for it.
macro_rules! not_set {
    ($code:literal) => {
        async |door: &Arc<Door>, req: S3Request<_>| {
            buckets::not_set(door, &BucketOf::bucket_of(&req.input), $code).await
        }
    };
}

macro_rules! empty {
    () => {
        async |door: &Arc<Door>, req: S3Request<_>| buckets::empty(door, &BucketOf::bucket_of(&req.input)).await
    };
}

/// The inputs of bucket settings share one field.
trait BucketOf {
    fn bucket_of(&self) -> String;
}

macro_rules! bucket_of {
    ($($input:ident)*) => {
        $(impl BucketOf for $input {
            fn bucket_of(&self) -> String {
                self.bucket.clone()
            }
        })*
    };
}

bucket_of! {
    GetBucketAccelerateConfigurationInput GetBucketCorsInput GetBucketEncryptionInput
    GetBucketLifecycleConfigurationInput GetBucketLoggingInput GetBucketNotificationConfigurationInput
    GetBucketOwnershipControlsInput GetBucketPolicyInput GetBucketReplicationInput GetBucketRequestPaymentInput
    GetBucketTaggingInput GetBucketWebsiteInput GetObjectLockConfigurationInput GetPublicAccessBlockInput
    GetObjectLegalHoldInput GetObjectRetentionInput
}

operations! {
    put_object(PutObjectInput) -> PutObjectOutput = put::put_object;
    get_object(GetObjectInput) -> GetObjectOutput = get::get_object;
    head_object(HeadObjectInput) -> HeadObjectOutput = get::head_object;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput = get::get_object_attributes;
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::object;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = delete::object;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = delete::objects;
    list_objects(ListObjectsInput) -> ListObjectsOutput = list::v1;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list::v2;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput = multipart::create;
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy::part;
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput = multipart::list_uploads;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput = multipart_complete::complete;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput = multipart::abort;

    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput = tagging::get;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput = tagging::put;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput = tagging::delete;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput = buckets::object_acl;
    get_object_legal_hold(GetObjectLegalHoldInput) -> GetObjectLegalHoldOutput = not_set!("NoSuchObjectLockConfiguration");
    get_object_retention(GetObjectRetentionInput) -> GetObjectRetentionOutput = not_set!("NoSuchObjectLockConfiguration");

    create_bucket(CreateBucketInput) -> CreateBucketOutput = buckets::create;
    head_bucket(HeadBucketInput) -> HeadBucketOutput = buckets::head;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = buckets::delete;
    list_buckets(ListBucketsInput) -> ListBucketsOutput = buckets::list;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput = buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput = buckets::versioning;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput = buckets::acl;

    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput) -> GetBucketAccelerateConfigurationOutput = empty!();
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput = empty!();
    get_bucket_notification_configuration(GetBucketNotificationConfigurationInput) -> GetBucketNotificationConfigurationOutput = empty!();
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput = empty!();
    get_bucket_cors(GetBucketCorsInput) -> GetBucketCorsOutput = not_set!("NoSuchCORSConfiguration");
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput = not_set!("ServerSideEncryptionConfigurationNotFoundError");
    get_bucket_lifecycle_configuration(GetBucketLifecycleConfigurationInput) -> GetBucketLifecycleConfigurationOutput = not_set!("NoSuchLifecycleConfiguration");
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput = not_set!("OwnershipControlsNotFoundError");
    get_bucket_policy(GetBucketPolicyInput) -> GetBucketPolicyOutput = not_set!("NoSuchBucketPolicy");
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput = not_set!("ReplicationConfigurationNotFoundError");
    get_bucket_tagging(GetBucketTaggingInput) -> GetBucketTaggingOutput = not_set!("NoSuchTagSet");
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput = not_set!("NoSuchWebsiteConfiguration");
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput = not_set!("ObjectLockConfigurationNotFoundError");
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput = not_set!("NoSuchPublicAccessBlockConfiguration");
}
