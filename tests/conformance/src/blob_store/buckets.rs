//! Buckets: created once, listed in order, deleted when empty.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::limits::BUCKETS_MAX;
use filemill_core::object::BucketName;
use filemill_core::ports::{BlobConflict, BlobError, InvalidBlob, Missing};
use futures::future::join_all;

fn named_bucket(name: &str) -> BucketName {
    BucketName::parse(name).expect("a bucket name")
}

/// B6
pub async fn buckets_are_listed_in_order(backend: Backend) {
    for name in ["zzz", "aaa", "m-m.m"] {
        backend.blobs.create_bucket(&named_bucket(name)).await.expect("create");
    }
    let names: Vec<_> = backend.blobs.buckets().await.expect("buckets").into_iter().map(|b| b.name).collect();
    assert_eq!(names, ["aaa", "m-m.m", "zzz"].map(named_bucket));
    let found = backend.blobs.bucket(&named_bucket("aaa")).await.expect("bucket").expect("it is there");
    assert_eq!(found.name, named_bucket("aaa"));
    assert_eq!(backend.blobs.bucket(&named_bucket("bbb")).await.expect("bucket"), None);
}

/// B5
pub async fn a_bucket_is_created_once(backend: Backend) {
    let bucket = bucket();
    let creations = (0..16).map(|_| backend.blobs.create_bucket(&bucket));
    let outcomes = join_all(creations).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, BlobError::Conflict(BlobConflict::BucketExists)), "{refused:?}");
    }
}

/// B6
pub async fn a_bucket_is_deleted_only_when_it_is_empty(backend: Backend) {
    let backend = with_bucket(backend).await;
    let not_empty = |e: BlobError| assert!(matches!(e, BlobError::Conflict(BlobConflict::BucketNotEmpty)), "{e:?}");
    put(&backend, "a", b"x").await;
    not_empty(backend.blobs.delete_bucket(&bucket()).await.expect_err("an object is in it"));
    backend.blobs.delete(&bucket(), &key("a"), Default::default()).await.expect("delete");
    let upload = begin(&backend, "a").await;
    not_empty(backend.blobs.delete_bucket(&bucket()).await.expect_err("an upload is open in it"));
    backend.blobs.abort_multipart(&upload).await.expect("abort");
    backend.blobs.delete_bucket(&bucket()).await.expect("it is empty");
    let again = backend.blobs.delete_bucket(&bucket()).await;
    assert!(matches!(again, Err(BlobError::NotFound(Missing::Bucket))), "{again:?}");
}

/// B6
pub async fn nothing_is_found_in_a_bucket_that_is_not_there(backend: Backend) {
    let no_bucket = |e: BlobError| assert!(matches!(e, BlobError::NotFound(Missing::Bucket)), "{e:?}");
    let (blobs, bucket, key) = (&backend.blobs, bucket(), key("a"));
    no_bucket(blobs.put(put_of("a"), inline(b"x"), filemill_core::ports::Durability::Synced).await.expect_err("put"));
    no_bucket(blobs.head(&bucket, &key).await.expect_err("head"));
    no_bucket(blobs.open(&bucket, &key, None, None).await.map(|o| o.range).expect_err("open"));
    no_bucket(blobs.delete(&bucket, &key, Default::default()).await.expect_err("delete"));
    let begin = filemill_core::ports::BeginMultipart { bucket: bucket.clone(), key, attributes: Default::default() };
    no_bucket(blobs.begin_multipart(begin).await.expect_err("begin"));
    no_bucket(blobs.list(&whole(&bucket)).await.map(|l| l.next).expect_err("list"));
}

/// B6, and the limit on buckets.
pub async fn there_is_a_largest_number_of_buckets(backend: Backend) {
    let names: Vec<_> = (0..BUCKETS_MAX).map(|n| named_bucket(&format!("bucket-{n:04}"))).collect();
    for created in join_all(names.iter().map(|name| backend.blobs.create_bucket(name))).await {
        created.expect("within the limit");
    }
    let one_more = backend.blobs.create_bucket(&named_bucket("one-more")).await;
    assert!(matches!(one_more, Err(BlobError::Invalid(InvalidBlob::TooManyBuckets))), "{one_more:?}");
}
