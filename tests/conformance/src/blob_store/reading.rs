//! Reading: ranges, pinned versions, readers that outlive their object, damaged bytes.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;
use std::io::Read;
use std::ops::Range;

const LARGE: usize = 2 * 1024 * 1024 + 11;

async fn open(backend: &Backend, range: Option<Range<u64>>) -> Result<OpenObject, BlobError> {
    backend.blobs.open(&bucket(), &key("a"), None, range).await
}

/// B4
pub async fn a_range_gives_exactly_its_bytes(backend: Backend) {
    let backend = with_bucket(backend).await;
    for length in [1, 10, 70_000, LARGE] {
        let content = bytes(length, 5);
        put(&backend, "a", &content).await;
        let middle = length as u64 / 2;
        let end = length as u64;
        for range in [0..1, 0..end, middle..end, middle..middle + 1, end - 1..end, 0..middle, middle / 2..middle] {
            let opened = open(&backend, Some(range.clone())).await.expect("open");
            assert_eq!((opened.range.clone(), opened.info.size), (range.clone(), end));
            let wanted = &content[range.start as usize..range.end as usize];
            assert!(read(opened).await.expect("read") == wanted, "{range:?} of {length}");
        }
    }
}

/// B4
pub async fn a_range_is_cut_to_the_end_and_one_beyond_it_is_refused(backend: Backend) {
    let backend = with_bucket(backend).await;
    for length in [10, LARGE] {
        let content = bytes(length, 6);
        put(&backend, "a", &content).await;
        let end = length as u64;
        let opened = open(&backend, Some(end - 3..u64::MAX)).await.expect("open");
        assert_eq!(opened.range, end - 3..end);
        assert!(read(opened).await.expect("read") == content[length - 3..]);
        for range in [end..end + 1, end..end, end + 5..end + 9, u64::MAX - 1..u64::MAX] {
            let refused = open(&backend, Some(range)).await.map(|o| o.range);
            assert!(
                matches!(refused, Err(BlobError::Invalid(InvalidBlob::Range { size })) if size == end),
                "{refused:?}"
            );
        }
    }
}

/// B4
pub async fn an_empty_object_has_an_empty_range(backend: Backend) {
    let backend = with_bucket(backend).await;
    put(&backend, "a", b"").await;
    for range in [None, Some(0..0), Some(0..5)] {
        let opened = open(&backend, range).await.expect("open");
        assert_eq!(opened.range, 0..0);
        assert_eq!(read(opened).await.expect("read"), b"");
    }
    let refused = open(&backend, Some(1..2)).await.map(|o| o.range);
    assert!(matches!(refused, Err(BlobError::Invalid(InvalidBlob::Range { size: 0 }))), "{refused:?}");
}

/// B3
pub async fn a_pinned_read_refuses_another_version(backend: Backend) {
    let backend = with_bucket(backend).await;
    let first = put(&backend, "a", b"first").await;
    let second = put(&backend, "a", b"second").await;
    let old = backend.blobs.open(&bucket(), &key("a"), Some(&first.etag), None).await.map(|o| o.range);
    assert!(matches!(old, Err(BlobError::Conflict(BlobConflict::Precondition))), "{old:?}");
    let new = backend.blobs.open(&bucket(), &key("a"), Some(&second.etag), None).await.expect("open");
    assert_eq!(read(new).await.expect("read"), b"second");
    let none = backend.blobs.open(&bucket(), &key("none"), Some(&second.etag), None).await.map(|o| o.range);
    assert!(matches!(none, Err(BlobError::NotFound(Missing::Object))), "{none:?}");
}

/// B3
pub async fn a_reader_sees_one_version_to_its_end(backend: Backend) {
    let backend = with_bucket(backend).await;
    let content = bytes(LARGE, 7);
    for is_deleted in [false, true] {
        put(&backend, "a", &content).await;
        let mut reader = open(&backend, None).await.expect("open").body.into_reader();
        let half = tokio::task::spawn_blocking(move || {
            let mut half = vec![0; LARGE / 2];
            reader.read_exact(&mut half).expect("the first half");
            (half, reader)
        });
        let (mut found, mut reader) = half.await.expect("reading does not panic");
        if is_deleted {
            backend.blobs.delete(&bucket(), &key("a"), Precondition::None).await.expect("delete");
        } else {
            put(&backend, "a", &bytes(LARGE, 8)).await;
        }
        backend.blobs.sweep().await.expect("sweep");
        let rest = tokio::task::spawn_blocking(move || {
            reader.read_to_end(&mut found).expect("the second half");
            found
        });
        assert!(rest.await.expect("reading does not panic") == content);
    }
}

/// B4
pub async fn a_flipped_bit_is_never_a_wrong_byte(backend: Backend) {
    let backend = with_bucket(backend).await;
    let content = bytes(LARGE, 9);
    let info = put(&backend, "a", &content).await;
    backend.outside.flip_bit(&info, &content).await;
    let end = LARGE as u64;
    let mut found_corrupt = 0;
    for range in [0..end, 0..end / 4, end / 4..end / 2, end / 2..end / 4 * 3, end / 4 * 3..end] {
        let outcome = match open(&backend, Some(range.clone())).await {
            Ok(opened) => read(opened).await,
            Err(e) => Err(e),
        };
        match outcome {
            Ok(read) => assert!(read == content[range.start as usize..range.end as usize], "a wrong byte in {range:?}"),
            Err(BlobError::Corrupt(_)) => found_corrupt += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(found_corrupt >= 2, "the whole and one quarter hold the flipped bit");
}
