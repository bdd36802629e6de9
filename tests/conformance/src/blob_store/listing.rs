//! Listing equals a naive model: for any keys, prefix, delimiter, start and page size.

use crate::backend::Backend;
use crate::samples::*;
use filemill_core::ids::KeyId;
use filemill_core::object::BucketName;
use filemill_core::ports::{Durability, ListObjects, ObjectList, Precondition};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Entry {
    Key(String),
    Prefix(String),
}

impl Entry {
    fn text(&self) -> &str {
        let (Entry::Key(text) | Entry::Prefix(text)) = self;
        text
    }
}

/// What S3 would list in one endless page.
fn model(keys: &BTreeSet<String>, query: &ListObjects) -> Vec<Entry> {
    let entry_of = |key: &String| {
        let rest = &key[query.prefix.len()..];
        match query.delimiter.as_deref().and_then(|d| rest.find(d).map(|at| at + d.len())) {
            Some(end) => Entry::Prefix(key[..query.prefix.len() + end].to_owned()),
            None => Entry::Key(key.clone()),
        }
    };
    let mut entries: Vec<Entry> = keys.iter().filter(|k| k.starts_with(&query.prefix)).map(entry_of).collect();
    entries.sort_by(|a, b| a.text().cmp(b.text()));
    entries.dedup();
    entries.retain(|e| query.after.as_deref().is_none_or(|after| e.text() > after));
    entries
}

fn entries(list: &ObjectList) -> Vec<Entry> {
    let keys = list.objects.iter().map(|o| Entry::Key(o.key.as_str().to_owned()));
    let prefixes = list.common_prefixes.iter().cloned().map(Entry::Prefix);
    let mut entries: Vec<Entry> = keys.chain(prefixes).collect();
    entries.sort_by(|a, b| a.text().cmp(b.text()));
    entries
}

/// Follows the pages of `query.limit` to their end.
async fn listed(backend: &Backend, query: &ListObjects) -> Vec<Entry> {
    let mut query = query.clone();
    let mut all = Vec::new();
    loop {
        let page = backend.blobs.list(&query).await.expect("list");
        let found = entries(&page);
        assert!(found.len() <= query.limit as usize, "a page of {} for {}", found.len(), query.limit);
        assert!(page.objects.is_sorted_by_key(|o| o.key.clone()) && page.common_prefixes.is_sorted());
        all.extend(found);
        match page.next {
            None => return all,
            Some(next) => {
                assert_eq!(all.last().map(Entry::text), Some(next.as_str()), "`next` is the last entry");
                query.after = Some(next);
            }
        }
    }
}

fn random_text(rng: &mut SmallRng, length: std::ops::Range<usize>) -> String {
    let alphabet = ["a", "b", "/", "//", "é", "\u{10ffff}", "-", "%", "_", "*"];
    (0..rng.random_range(length)).map(|_| *alphabet.choose(rng).expect("letters")).collect()
}

async fn with_random_keys(backend: &Backend, rng: &mut SmallRng, count: usize) -> BTreeSet<String> {
    let keys: BTreeSet<String> = (0..count).map(|_| random_text(rng, 1..7)).collect();
    for key in &keys {
        backend.blobs.put(put_of(key), inline(b"x"), Durability::Lazy).await.expect("put");
    }
    keys
}

/// B6
pub async fn listing_equals_the_model_for_every_page_size(backend: Backend) {
    let backend = with_bucket(backend).await;
    let rng = &mut SmallRng::seed_from_u64(6);
    let keys = with_random_keys(&backend, rng, 40).await;
    for prefix in ["", "a", "a/", "/", "none"] {
        for delimiter in [None, Some("/"), Some("//"), Some("é")] {
            let delimiter = delimiter.map(str::to_owned);
            let query = ListObjects { prefix: prefix.into(), delimiter, ..whole(&bucket()) };
            let expected = model(&keys, &query);
            for limit in 1..=expected.len() as u32 + 1 {
                let query = ListObjects { limit, ..query.clone() };
                assert_eq!(listed(&backend, &query).await, expected, "{query:?}");
            }
        }
    }
}

/// B6
pub async fn listing_equals_the_model_from_any_start(backend: Backend) {
    let backend = with_bucket(backend).await;
    let rng = &mut SmallRng::seed_from_u64(7);
    let keys = with_random_keys(&backend, rng, 60).await;
    for _ in 0..300 {
        let query = ListObjects {
            prefix: random_text(rng, 0..3),
            delimiter: ["/", "-", "b/"].choose(rng).filter(|_| rng.random_bool(0.7)).map(|d| (*d).to_owned()),
            after: Some(random_text(rng, 0..6)).filter(|a| !a.is_empty()),
            limit: rng.random_range(1..10),
            ..whole(&bucket())
        };
        assert_eq!(listed(&backend, &query).await, model(&keys, &query), "{query:?}");
    }
}

/// B6: byte order, not any language's.
pub async fn keys_are_listed_in_byte_order(backend: Backend) {
    let backend = with_bucket(backend).await;
    let mut names = ["b", "a", "B", "é", "z", "a/b", "a-b", "a0", "\u{ffff}", "\u{10000}", "Z", "aa"];
    for name in names {
        put(&backend, name, b"").await;
    }
    names.sort_unstable_by_key(|n| n.as_bytes());
    assert_eq!(keys(&backend).await, names);
}

/// B6
pub async fn what_was_put_or_deleted_shows_at_once(backend: Backend) {
    let backend = with_bucket(backend).await;
    for n in 0..20 {
        let name = format!("{n:02}");
        let info = put(&backend, &name, b"x").await;
        let list = backend.blobs.list(&whole(&bucket())).await.expect("list");
        assert_eq!(list.objects, [info]);
        backend.blobs.delete(&bucket(), &key(&name), Precondition::None).await.expect("delete");
        assert_eq!(keys(&backend).await, Vec::<String>::new());
    }
}

/// B6
pub async fn buckets_do_not_see_each_others_keys(backend: Backend) {
    let backend = with_bucket(backend).await;
    let other = BucketName::parse("uploads-2").expect("a bucket name");
    backend.blobs.create_bucket(&other).await.expect("create");
    put(&backend, "a", b"x").await;
    let list = backend.blobs.list(&whole(&other)).await.expect("list");
    assert!(list.objects.is_empty() && list.next.is_none());
}

/// B6, B8: an owner's listing is that of a bucket where nothing else lies, and the owner is announced.
pub async fn an_owner_lists_what_is_its_own_and_is_announced(backend: Backend) {
    let backend = with_bucket(backend).await;
    let owner = KeyId::new(time(), [1; 10]);
    let mine = BTreeSet::from(["a/1".to_owned(), "a/3".to_owned(), "c".to_owned()]);
    for name in ["a/1", "a/2", "a/3", "b/1", "c", "d"] {
        let mut put = put_of(name);
        put.attributes.owner = mine.contains(name).then(|| owner.clone());
        backend.blobs.put(put, inline(b"x"), Durability::Synced).await.expect("put");
    }
    for delimiter in [None, Some("/".to_owned())] {
        for limit in 1..=4 {
            let query =
                ListObjects { owner: Some(owner.clone()), delimiter: delimiter.clone(), limit, ..whole(&bucket()) };
            assert_eq!(listed(&backend, &query).await, model(&mine, &query), "{query:?}");
        }
    }
    let announced = backend.blobs.announcements(100).await.expect("announcements");
    let owned = announced.iter().filter(|a| a.owner.as_ref() == Some(&owner)).map(|a| a.key.to_string());
    assert_eq!(owned.collect::<BTreeSet<_>>(), mine);
}
