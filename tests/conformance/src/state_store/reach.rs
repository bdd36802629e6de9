//! Reach: whatever somebody may see, a query finds that and nothing else, whole pages of it.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::access::{Place, Reach};
use filemill_core::finding::{Finding, FindingRecord};
use filemill_core::ids::KeyId;
use filemill_core::object::BucketName;
use filemill_core::ports::*;
use filemill_core::record::{Record, RecordKind, RecordOrder, RecordQuery};
use serde_json::json;

const BUCKETS: [&str; 3] = ["one", "two", "three"];
const KEYS: [&str; 5] = ["a", "a/b", "a%c", "aü", "b\u{10ffff}"];

fn owner(n: u8) -> KeyId {
    KeyId::new(time(), [n; 10])
}

fn bucket_named(name: &str) -> BucketName {
    BucketName::parse(name).expect(name)
}

/// Each bucket and key, with the first owner, the second or none.
fn everything() -> impl Iterator<Item = (BucketName, &'static str, Option<KeyId>)> {
    let places = BUCKETS.into_iter().flat_map(|bucket| KEYS.into_iter().map(move |key| (bucket_named(bucket), key)));
    places.enumerate().map(|(n, (bucket, key))| (bucket, key, [Some(owner(1)), Some(owner(2)), None][n % 3].clone()))
}

fn reaches() -> Vec<Reach> {
    let only = |places: &[&str]| Some(places.iter().map(|place| Place::parse(place).expect(place)).collect());
    let never = |names: &[&str]| names.iter().map(|name| bucket_named(name)).collect();
    let all = Reach::everything;
    vec![
        all(),
        Reach::nothing(),
        Reach { owner: Some(owner(1)), ..all() },
        Reach { owner: Some(owner(9)), ..all() },
        Reach { only: only(&["one"]), ..all() },
        Reach { only: only(&["one/a/", "two/a", "three/b\u{10ffff}"]), ..all() },
        Reach { only: only(&["two/a%", "nowhere"]), owner: Some(owner(2)), ..all() },
        Reach { never: never(&["two"]), ..all() },
        Reach { never: never(&["one", "three"]), owner: Some(owner(1)), only: only(&["two", "one"]) },
    ]
}

/// S12
pub async fn jobs_are_found_within_a_reach_only(backend: Backend) {
    let mut jobs = Vec::new();
    for (n, (bucket, name, owner)) in everything().enumerate() {
        let mut job = job(name, n as u64);
        (job.input.bucket, job.owner) = (bucket, owner);
        stored_job(&backend, &job, &[]).await;
        jobs.insert(0, job);
    }
    for reach in reaches() {
        let within = |job: &&_| {
            let job: &filemill_core::job::Job = job;
            reach.takes(&job.input.bucket, &job.input.key, job.owner.as_ref())
        };
        let expected: Vec<_> = jobs.iter().filter(within).map(|job| job.id.clone()).collect();
        let mut query = JobQuery { reach: reach.clone(), limit: 2, ..JobQuery::default() };
        let mut found = Vec::new();
        loop {
            let page = backend.state.jobs(&query).await.expect("jobs");
            assert!(!page.more || page.items.len() == 2, "no page is cut short: {reach:?}");
            found.extend(page.items.into_iter().map(|job| job.id));
            query.after = found.last().cloned();
            if !page.more {
                break;
            }
        }
        assert_eq!(found, expected, "{reach:?}");
    }
}

/// S12
pub async fn files_are_found_within_a_reach_only(backend: Backend) {
    let mut stored = Vec::new();
    for (n, (bucket, name, owner)) in everything().enumerate() {
        let mut file = file(name, n as u64);
        file.id = filemill_core::ids::FileId::of(&bucket, name);
        (file.bucket, file.owner) = (bucket, owner);
        backend.state.commit(set([new_file(file.clone())]), Durability::Synced).await.expect("stored");
        stored.push(file);
    }
    stored.sort_by(|a, b| (&a.bucket, &a.key).cmp(&(&b.bucket, &b.key)));
    for reach in reaches() {
        for prefix in [None, Some("a".to_owned())] {
            let within = |file: &&filemill_core::file::File| {
                let begins = prefix.as_ref().is_none_or(|prefix| file.key.starts_with(prefix.as_str()));
                begins && reach.takes(&file.bucket, &file.key, file.owner.as_ref())
            };
            let expected: Vec<_> = stored.iter().filter(within).map(|file| file.id.clone()).collect();
            let mut query =
                FileQuery { reach: reach.clone(), prefix: prefix.clone(), limit: 2, ..FileQuery::default() };
            let mut found = Vec::new();
            loop {
                let page = backend.state.files(&query).await.expect("files");
                assert!(!page.more || page.items.len() == 2, "no page is cut short: {reach:?}");
                query.after = page.items.last().map(|file| (file.bucket.clone(), file.key.clone()));
                found.extend(page.items.into_iter().map(|file| file.id));
                if !page.more {
                    break;
                }
            }
            assert_eq!(found, expected, "{reach:?} {prefix:?}");
        }
    }
}

/// S12
pub async fn findings_are_found_and_counted_within_a_reach_only(backend: Backend) {
    let mut stored = Vec::new();
    for (n, (bucket, name, owner)) in everything().enumerate() {
        let finding = Finding { label: "GOOD".into(), values: [("share".to_owned(), n as f64)].into() };
        let (processor, job) = ("text.sentiment".to_owned(), job(name, n as u64).id);
        let found = FindingRecord { processor, bucket, key: key(name), job, at: time(), owner, finding };
        backend.state.commit(set([Change::PutFinding(found.clone())]), Durability::Synced).await.expect("stored");
        stored.push(found);
    }
    for reach in reaches() {
        let within = |found: &&FindingRecord| reach.takes(&found.bucket, &found.key, found.owner.as_ref());
        let expected = stored.iter().filter(within).count();
        let query = FindingQuery { reach: reach.clone(), limit: 100, ..FindingQuery::default() };
        let page = backend.state.findings(&query).await.expect("findings");
        assert_eq!(page.items.len(), expected, "{reach:?}");
        let summary = backend.state.finding_summary(&query).await.expect("a summary");
        assert_eq!(summary.count, expected as u64, "{reach:?}");
    }
}

/// S12
pub async fn records_are_found_and_counted_within_a_reach_only(backend: Backend) {
    let mut stored = Vec::new();
    for (n, (bucket, name, owner)) in everything().enumerate() {
        let mut fields: filemill_core::record::RecordFields =
            [("bucket".to_owned(), bucket.to_string()), ("key".to_owned(), name.to_owned())].into();
        fields.extend(owner.map(|owner| ("owner".to_owned(), owner.to_string())));
        fields.insert("kind".into(), "x".into());
        let id = format!("r{n:02}");
        stored.push(Record { kind: RecordKind::DeadLetter, id, rev: 1, due_at: None, fields, document: json!({}) });
    }
    let nowhere =
        Record { id: "r99".into(), fields: [("kind".to_owned(), "x".to_owned())].into(), ..stored[0].clone() };
    stored.push(nowhere);
    let changes = stored.iter().map(|record| Change::PutRecord(Box::new(record.clone()))).collect();
    backend.state.commit(ChangeSet { changes }, Durability::Synced).await.expect("stored");
    for reach in reaches() {
        for field in [None, Some("x")] {
            let order = RecordOrder::OldestFirst;
            let query = RecordQuery { limit: 100, order, ..RecordQuery::of(RecordKind::DeadLetter) };
            let query = query.with("kind", field).within(&reach);
            let expected: Vec<&str> = stored.iter().filter(|r| query.takes(r)).map(|r| r.id.as_str()).collect();
            let page = backend.state.records(&query).await.expect("records");
            assert_eq!(page.items.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), expected, "{reach:?}");
            let count = backend.state.record_count(&query).await.expect("a count");
            assert_eq!(count, expected.len() as u64, "{reach:?}");
        }
    }
}

/// S5
pub async fn an_event_keeps_its_owner(backend: Backend) {
    let mut told = event(1);
    told.owner = Some(owner(1));
    backend.state.commit(set([Change::Emit(told.clone())]), Durability::Synced).await.expect("told");
    let heard = backend.state.events_after(0, 10).await.expect("events");
    assert_eq!(heard.into_iter().map(|event| event.event).collect::<Vec<_>>(), [told]);
}
