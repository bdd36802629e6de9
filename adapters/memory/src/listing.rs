//! Listing objects and open multipart uploads, in byte order of their keys (B6).
//!
//! Walks every entry of a bucket: meant for tests, where buckets are small.

use crate::world::World;
use filemill_core::ports::{BlobError, ListMultiparts, ListObjects, MultipartInfo, ObjectList};
use std::ops::Bound;

impl World {
    pub fn list(&self, query: &ListObjects) -> Result<ObjectList, BlobError> {
        self.need_bucket(&query.bucket)?;
        let mut found = ObjectList::default();
        let mut last: Option<String> = None;
        let mut entries = 0;
        for ((bucket, key), object) in &self.tables.objects {
            let is_owned = query.owner.is_none() || object.info.attributes.owner == query.owner;
            if *bucket != query.bucket || !key.starts_with(&query.prefix) || !is_owned {
                continue;
            }
            let prefix = common_prefix(key, query);
            let entry = prefix.unwrap_or(key);
            let is_behind = query.after.as_deref().is_none_or(|after| entry > after);
            if !is_behind || (prefix.is_some() && last.as_deref() == Some(entry)) {
                continue;
            }
            if entries == query.limit {
                found.next = last;
                return Ok(found);
            }
            match prefix {
                Some(prefix) => found.common_prefixes.push(prefix.to_owned()),
                None => found.objects.push(object.info.clone()),
            }
            last = Some(entry.to_owned());
            entries += 1;
        }
        Ok(found)
    }

    pub fn list_multiparts(&self, query: &ListMultiparts) -> Vec<MultipartInfo> {
        let is_wanted = |m: &&MultipartInfo| {
            query.bucket.as_ref().is_none_or(|b| *b == m.upload.bucket)
                && m.upload.key.starts_with(&query.prefix)
                && query.after.as_ref().is_none_or(|after| is_behind(m, after))
                && query.begun_before.is_none_or(|t| m.begun_at < t)
        };
        let mut found: Vec<MultipartInfo> = self.tables.multiparts.values().filter(is_wanted).cloned().collect();
        found.sort_by(|a, b| (&a.upload.key, &a.upload.id).cmp(&(&b.upload.key, &b.upload.id)));
        found.truncate(query.limit as usize);
        found
    }

    pub fn parts_of(&self, id: &str, after: u32) -> impl Iterator<Item = &crate::world::Part> {
        let from = Bound::Excluded((id.to_owned(), after));
        let to = Bound::Included((id.to_owned(), u32::MAX));
        self.tables.parts.range((from, to)).map(|(_, part)| part)
    }
}

fn common_prefix<'a>(key: &'a str, query: &ListObjects) -> Option<&'a str> {
    let delimiter = query.delimiter.as_deref().filter(|d| !d.is_empty())?;
    let at = key[query.prefix.len()..].find(delimiter)?;
    Some(&key[..query.prefix.len() + at + delimiter.len()])
}

fn is_behind(multipart: &MultipartInfo, (key, id): &(String, Option<String>)) -> bool {
    let upload = &multipart.upload;
    match id {
        Some(id) => (upload.key.as_str(), upload.id.as_str()) > (key.as_str(), id.as_str()),
        None => upload.key.as_str() > key.as_str(),
    }
}
