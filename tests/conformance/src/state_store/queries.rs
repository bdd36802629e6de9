//! Queries: filters, order and pages.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::file::File;
use filemill_core::job::{Job, JobStatus};
use filemill_core::object::BucketName;
use filemill_core::ports::*;
use filemill_core::rule::Name;
use filemill_core::upload::{Upload, UploadStatus};

fn other_bucket() -> BucketName {
    BucketName::parse("other").expect("a bucket name")
}

/// Twelve jobs that differ in everything that a query can ask for; oldest first.
async fn varied_jobs(backend: &Backend) -> Vec<Job> {
    let mut jobs = Vec::new();
    for n in 0..12_u64 {
        let mut job = job(["a", "a/b", "a%c", "b"][n as usize % 4], n);
        job.status = JobStatus::ALL[n as usize % 5];
        job.rule = Name::parse(["hello", "other"][n as usize % 2]).expect("a rule id");
        job.upload = n.is_multiple_of(3).then(|| upload("a", n).id);
        if n == 5 {
            job.input.bucket = other_bucket();
        }
        stored_job(backend, &job, &[]).await;
        jobs.push(job);
    }
    jobs
}

async fn listed(backend: &Backend, query: &JobQuery) -> Vec<Job> {
    let mut query = query.clone();
    let mut all: Vec<Job> = Vec::new();
    loop {
        let page = backend.state.jobs(&query).await.expect("jobs");
        assert!(page.items.len() <= query.limit as usize);
        all.extend(page.items);
        if !page.more {
            return all;
        }
        query.after = all.last().map(|j| j.id.clone());
    }
}

/// S5
pub async fn jobs_are_listed_newest_first_in_pages(backend: Backend) {
    let mut jobs = varied_jobs(&backend).await;
    jobs.reverse();
    for limit in 1..=13 {
        assert_eq!(listed(&backend, &JobQuery { limit, ..JobQuery::default() }).await, jobs, "pages of {limit}");
    }
}

/// S5
pub async fn jobs_are_found_by_each_property(backend: Backend) {
    let mut jobs = varied_jobs(&backend).await;
    jobs.reverse();
    type Filter = Box<dyn Fn(&Job) -> bool>;
    let query = || JobQuery { limit: 2, ..JobQuery::default() };
    let mut cases: Vec<(JobQuery, Filter)> = Vec::new();
    for status in JobStatus::ALL {
        cases.push((JobQuery { status: Some(status), ..query() }, Box::new(move |j| j.status == status)));
    }
    let rule = Name::parse("other").expect("a rule id");
    cases.push((JobQuery { rule: Some(rule.clone()), ..query() }, Box::new(move |j| j.rule == rule)));
    cases.push((JobQuery { bucket: Some(other_bucket()), ..query() }, Box::new(|j| j.input.bucket == other_bucket())));
    for wanted in ["a", "a/b", "none", "A", "a%c"] {
        cases.push((
            JobQuery { key: Some(wanted.into()), ..query() },
            Box::new(move |j| j.input.key.as_str() == wanted),
        ));
    }
    for prefix in ["a", "a/", "a%", "", "_"] {
        let key = Some(format!("{prefix}*"));
        cases.push((JobQuery { key, ..query() }, Box::new(move |j| j.input.key.starts_with(prefix))));
    }
    let wanted = upload("a", 3).id;
    cases.push((
        JobQuery { upload: Some(wanted.clone()), ..query() },
        Box::new(move |j| j.upload.as_ref() == Some(&wanted)),
    ));
    let both = JobQuery { status: Some(JobStatus::Queued), key: Some("a*".into()), ..query() };
    cases.push((both, Box::new(|j| j.status == JobStatus::Queued && j.input.key.starts_with('a'))));
    for (query, is_wanted) in cases {
        let expected: Vec<Job> = jobs.iter().filter(|j| is_wanted(j)).cloned().collect();
        assert_eq!(listed(&backend, &query).await, expected, "{query:?}");
    }
}

/// S5
pub async fn open_jobs_of_an_object_are_found_whatever_their_version(backend: Backend) {
    let jobs = varied_jobs(&backend).await;
    let mut found = backend.state.open_jobs_of(&bucket(), &key("a")).await.expect("jobs");
    found.sort_by_key(|j| j.id.clone());
    let is_open = |j: &&Job| !j.status.is_terminal() && j.input.key.as_str() == "a" && j.input.bucket == bucket();
    let expected: Vec<Job> = jobs.iter().filter(is_open).cloned().collect();
    assert!(!expected.is_empty());
    assert_eq!(found, expected);
    assert_eq!(backend.state.open_jobs_of(&other_bucket(), &key("a")).await.expect("jobs"), []);
}

/// S5
pub async fn files_are_listed_by_bucket_and_key_in_pages(backend: Backend) {
    let mut files = Vec::new();
    for (n, name) in ["b", "a", "a/1", "a/2", "é", "Z"].into_iter().enumerate() {
        files.push(file(name, n as u64 + 1));
    }
    let elsewhere = File { bucket: other_bucket(), id: filemill_core::ids::FileId::of("other", "a"), ..file("a", 1) };
    let removed = File { removed_at: Some(time()), ..file("removed", 1) };
    for file in files.iter().chain([&elsewhere, &removed]) {
        commit(&backend, [new_file(file.clone())]).await.expect("commit");
    }
    files.sort_by_key(|f| f.key.clone());
    let everywhere: Vec<File> = std::iter::once(elsewhere.clone()).chain(files.clone()).collect();
    for limit in 1..=8 {
        let query = FileQuery { limit, ..FileQuery::default() };
        assert_eq!(listed_files(&backend, &query).await, everywhere, "pages of {limit}");
        let here = FileQuery { bucket: Some(bucket()), ..query.clone() };
        assert_eq!(listed_files(&backend, &here).await, files, "pages of {limit}");
        let with_prefix = FileQuery { prefix: Some("a".into()), ..here };
        let expected: Vec<File> = files.iter().filter(|f| f.key.starts_with('a')).cloned().collect();
        assert_eq!(listed_files(&backend, &with_prefix).await, expected, "pages of {limit}");
    }
    assert_eq!(backend.state.file(&removed.id).await.expect("file"), Some(removed), "kept for late events");
}

async fn listed_files(backend: &Backend, query: &FileQuery) -> Vec<File> {
    let mut query = query.clone();
    let mut all: Vec<File> = Vec::new();
    loop {
        let page = backend.state.files(&query).await.expect("files");
        assert!(page.items.len() <= query.limit as usize);
        all.extend(page.items);
        if !page.more {
            return all;
        }
        query.after = all.last().map(|f| (f.bucket.clone(), f.key.clone()));
    }
}

/// S5
pub async fn the_upload_of_an_object_is_the_newest_that_is_not_received(backend: Backend) {
    let with_status = |nth, status| Upload { status, ..upload("a", nth) };
    let uploads = [
        with_status(1, UploadStatus::Pending),
        with_status(2, UploadStatus::Expired),
        with_status(3, UploadStatus::Received),
        upload("b", 4),
    ];
    for upload in &uploads {
        commit(&backend, [Change::InsertUpload(upload.clone())]).await.expect("insert");
    }
    let found = backend.state.upload_for(&bucket(), &key("a"), None).await.expect("upload");
    assert_eq!(found.as_ref(), Some(&uploads[1]), "an expired one counts: its object came late");
    let received = Change::UpdateUpload { upload: with_status(2, UploadStatus::Received), was: UploadStatus::Expired };
    commit(&backend, [received]).await.expect("update");
    assert_eq!(backend.state.upload_for(&bucket(), &key("a"), None).await.expect("upload").as_ref(), Some(&uploads[0]));
    let somebody = filemill_core::ids::KeyId::new(time(), [1; 10]);
    let found = backend.state.upload_for(&bucket(), &key("a"), Some(&somebody)).await.expect("upload");
    assert_eq!(found, None, "a promise is its maker's");
    assert_eq!(backend.state.upload_for(&bucket(), &key("none"), None).await.expect("upload"), None);
    assert_eq!(backend.state.upload_for(&other_bucket(), &key("a"), None).await.expect("upload"), None);
}

/// S5
pub async fn chunks_are_listed_by_index_and_run(backend: Backend) {
    let job = job("a", 1);
    let next_run = Job { run: 2, ..job.clone() };
    for index in [3, 0, 11, 2] {
        commit(&backend, [Change::InsertChunk(chunk_record(&job, index))]).await.expect("insert");
    }
    commit(&backend, [Change::InsertChunk(chunk_record(&next_run, 1))]).await.expect("insert");
    let chunks = backend.state.chunks(&job.id, 1).await.expect("chunks");
    assert_eq!(chunks, [0, 2, 3, 11].map(|index| chunk_record(&job, index)));
    assert_eq!(backend.state.chunk(&job.id, 1, 11).await.expect("chunk"), Some(chunk_record(&job, 11)));
    assert_eq!(backend.state.chunk(&job.id, 2, 11).await.expect("chunk"), None);
    assert_eq!(backend.state.chunks(&job.id, 3).await.expect("chunks"), []);
}
