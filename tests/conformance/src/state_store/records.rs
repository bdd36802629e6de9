//! Records: guarded by their revision, found by their fields, counted, grouped, due.

use super::refuses_whole;
use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ports::*;
use filemill_core::record::{Record, RecordKind, RecordOrder, RecordQuery};
use filemill_core::time::Timestamp;
use serde_json::json;
use std::time::Duration;

const KIND: RecordKind = RecordKind::Audit;

fn second(n: u64) -> Timestamp {
    time().plus(Duration::from_secs(n))
}

fn record(id: &str, fields: &[(&'static str, &str)]) -> Record {
    let fields = fields.iter().map(|(name, value)| ((*name).into(), (*value).to_owned())).collect();
    Record { kind: KIND, id: id.into(), rev: 1, due_at: None, fields, document: json!({ "ü\"": [id, null, 1.5] }) }
}

fn put(record: &Record) -> Change {
    Change::PutRecord(Box::new(record.clone()))
}

async fn stored(backend: &Backend, records: &[Record]) {
    let changes = records.iter().map(put).collect();
    backend.state.commit(ChangeSet { changes }, Durability::Synced).await.expect("store records");
}

fn query(fields: &[(&'static str, &str)]) -> RecordQuery {
    let all = RecordQuery { limit: 100, ..RecordQuery::of(KIND) };
    fields.iter().fold(all, |query, (name, value)| query.with(name, Some(*value)))
}

/// In pages of two.
async fn ids(backend: &Backend, query: RecordQuery) -> Vec<String> {
    let mut query = RecordQuery { limit: 2, ..query };
    let mut all: Vec<String> = Vec::new();
    loop {
        let page = backend.state.records(&query).await.expect("records");
        assert!(page.items.len() <= 2);
        all.extend(page.items.into_iter().map(|record| record.id));
        if !page.more {
            let counted = backend.state.record_count(&query).await.expect("count");
            assert_eq!(counted, all.len() as u64, "{query:?}");
            return all;
        }
        query.after = all.last().cloned();
    }
}

/// S2
pub async fn a_record_is_changed_from_the_revision_before(backend: Backend) {
    let first = record("a", &[("status", "new")]);
    stored(&backend, std::slice::from_ref(&first)).await;
    assert_eq!(backend.state.record(KIND, "a").await.expect("record"), Some(first.clone()));
    assert_eq!(backend.state.record(RecordKind::Redrive, "a").await.expect("record"), None, "kinds are apart");
    refuses_whole(&backend, || put(&first)).await;
    refuses_whole(&backend, || put(&Record { rev: 3, ..first.clone() })).await;
    refuses_whole(&backend, || put(&Record { rev: 2, ..record("b", &[]) })).await;
    refuses_whole(&backend, || Change::RemoveRecord { kind: KIND, id: "a".into(), rev: 2 }).await;
    refuses_whole(&backend, || Change::RemoveRecord { kind: KIND, id: "b".into(), rev: 1 }).await;
    let second = Record { rev: 2, due_at: Some(time()), document: json!(null), ..first };
    commit(&backend, [put(&second)]).await.expect("the next revision");
    assert_eq!(backend.state.record(KIND, "a").await.expect("record"), Some(second));
    commit(&backend, [Change::RemoveRecord { kind: KIND, id: "a".into(), rev: 2 }]).await.expect("remove");
    assert_eq!(backend.state.record(KIND, "a").await.expect("record"), None);
    assert!(ids(&backend, query(&[("status", "new")])).await.is_empty());
}

/// S2
pub async fn of_sixteen_who_change_a_record_one_wins(backend: Backend) {
    stored(&backend, &[record("a", &[])]).await;
    let rivals = (0..16).map(|n| {
        let backend = &backend;
        async move {
            let next = Record { rev: 2, document: json!(n), ..record("a", &[]) };
            commit(backend, [put(&next)]).await.is_ok()
        }
    });
    let won = futures::future::join_all(rivals).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

/// S10
pub async fn records_are_found_by_the_fields_they_have_now(backend: Backend) {
    let was = [("status", "dead"), ("queue", "default"), ("key", "a/b")];
    stored(&backend, &[record("a", &was), record("b", &was), record("c", &[("status", "dead")])]).await;
    assert_eq!(ids(&backend, query(&[("status", "dead")])).await, ["c", "b", "a"]);
    let now = [("status", "redriven"), ("key", "a/b")];
    commit(&backend, [put(&Record { rev: 2, ..record("b", &now) })]).await.expect("change");
    assert_eq!(ids(&backend, query(&[("status", "dead")])).await, ["c", "a"]);
    assert_eq!(ids(&backend, query(&[("queue", "default")])).await, ["a"], "a field that is gone finds nothing");
    assert_eq!(ids(&backend, query(&[("status", "redriven"), ("key", "a/b")])).await, ["b"]);
    assert!(ids(&backend, query(&[("status", "dead"), ("key", "other")])).await.is_empty());
}

/// S5
pub async fn records_are_listed_by_id_in_pages(backend: Backend) {
    let fields = |n: usize| [("key", ["a", "a/b", "a%c", "b"][n % 4]), ("even", ["yes", "no"][n % 2])];
    let all: Vec<Record> = (0..9).map(|n| record(&format!("id-{n}"), &fields(n))).collect();
    stored(&backend, &all).await;
    let of = |numbers: &[usize]| numbers.iter().map(|n| format!("id-{n}")).collect::<Vec<_>>();
    assert_eq!(ids(&backend, query(&[])).await, of(&[8, 7, 6, 5, 4, 3, 2, 1, 0]));
    let oldest = |fields| RecordQuery { order: RecordOrder::OldestFirst, ..query(fields) };
    assert_eq!(ids(&backend, oldest(&[])).await, of(&[0, 1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(ids(&backend, oldest(&[("key", "a/*")])).await, of(&[1, 5]));
    assert_eq!(ids(&backend, oldest(&[("key", "a%*")])).await, of(&[2, 6]));
    assert_eq!(ids(&backend, oldest(&[("even", "yes"), ("key", "a*")])).await, of(&[0, 2, 4, 6, 8]));
    let between = RecordQuery { from: Some("id-2".into()), before: Some("id-6".into()), ..oldest(&[]) };
    assert_eq!(ids(&backend, between.clone()).await, of(&[2, 3, 4, 5]));
    let both = RecordQuery { fields: vec![("even", "no".into())], ..between };
    assert_eq!(ids(&backend, both).await, of(&[3, 5]));
}

/// S5
pub async fn records_are_counted_by_the_value_of_a_field(backend: Backend) {
    let of = |id, value| record(id, &[("status", "dead"), ("why", value)]);
    let other = record("5", &[("status", "redriven"), ("why", "x")]);
    let all = [of("1", "x"), of("2", "y"), of("3", "y"), record("4", &[("status", "dead")]), other];
    stored(&backend, &all).await;
    let groups = backend.state.record_groups(&query(&[("status", "dead")]), "why").await.expect("groups");
    let told: Vec<_> = groups.iter().map(|g| (g.value.as_str(), g.count, g.first.as_str(), g.last.as_str())).collect();
    assert_eq!(told, [("y", 2, "2", "3"), ("x", 1, "1", "1")]);
    let largest = RecordQuery { limit: 1, ..query(&[]) };
    let groups = backend.state.record_groups(&largest, "why").await.expect("groups");
    assert_eq!((groups.len(), groups[0].value.as_str(), groups[0].count), (1, "x", 2));
}

/// S5
pub async fn due_records_come_longest_due_first(backend: Backend) {
    let due = |id, at| Record { due_at: Some(second(at)), ..record(id, &[]) };
    stored(&backend, &[due("a", 30), due("b", 10), due("c", 20), record("d", &[])]).await;
    let ids = async |before, limit| {
        let found = backend.state.due_records(KIND, second(before), limit).await.expect("due");
        found.into_iter().map(|record| record.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(100, 10).await, ["b", "c", "a"]);
    assert_eq!(ids(20, 10).await, ["b"]);
    assert_eq!(ids(100, 2).await, ["b", "c"]);
    commit(&backend, [put(&Record { rev: 2, ..record("b", &[]) })]).await.expect("no longer due");
    assert_eq!(ids(100, 1).await, ["c"]);
}
