//! Listing in byte order. Common prefixes are skipped, not read: after `a/` the scan goes on behind all keys under it.

use crate::buckets;
use crate::failure::Step;
use crate::rows::{OBJECT_COLUMNS, object_info};
use filemill_core::ports::{BlobError, ListObjects, ObjectList};
use rusqlite::{Connection, params};

pub(crate) fn list(sql: &Connection, query: &ListObjects) -> Step<ObjectList, BlobError> {
    buckets::need(sql, &query.bucket)?;
    let end = behind_all_with(&query.prefix);
    let mut from = From::first(query);
    let mut list = ObjectList::default();
    let mut last = None;
    loop {
        let found = next_run(sql, query, &from, end.as_deref(), &mut list, &mut last)?;
        match found {
            Run::More => {
                list.next = last;
                return Ok(list);
            }
            Run::End => return Ok(list),
            Run::CommonPrefix(prefix) => match behind_all_with(&prefix) {
                None => return Ok(list),
                Some(next) => from = From::at(next),
            },
        }
    }
}

/// Where a scan starts: at a key, or strictly behind it.
struct From {
    key: String,
    strictly_behind: bool,
}

impl From {
    fn first(query: &ListObjects) -> Self {
        match &query.after {
            Some(after) if *after >= query.prefix => From { key: after.clone(), strictly_behind: true },
            _ => From::at(query.prefix.clone()),
        }
    }

    fn at(key: String) -> Self {
        From { key, strictly_behind: false }
    }
}

/// How a run of keys without a common prefix ended.
enum Run {
    /// The list is full and something is behind it.
    More,
    End,
    /// Listed, unless it was listed before; all its keys are to be skipped.
    CommonPrefix(String),
}

fn next_run(
    sql: &Connection,
    query: &ListObjects,
    from: &From,
    end: Option<&str>,
    list: &mut ObjectList,
    last: &mut Option<String>,
) -> Step<Run, BlobError> {
    let compare = if from.strictly_behind { ">" } else { ">=" };
    let before_end = if end.is_some() { "AND key < ?3" } else { "AND ?3 IS NULL" };
    let select = format!(
        "SELECT {OBJECT_COLUMNS} FROM objects WHERE bucket = ?1 AND key {compare} ?2 {before_end}
            AND (?4 IS NULL OR json_extract(attributes, '$.owner') = ?4) ORDER BY key"
    );
    let mut statement = sql.prepare_cached(&select)?;
    let owner = query.owner.as_ref().map(|owner| owner.as_str());
    let mut rows = statement.query(params![query.bucket.as_str(), from.key, end, owner])?;
    while let Some(row) = rows.next()? {
        let key = row.get_ref("key")?.as_str().map_err(rusqlite::Error::from)?;
        let prefix = common_prefix(key, query);
        if prefix.is_some_and(|prefix| query.after.as_deref().is_some_and(|after| prefix <= after)) {
            return Ok(Run::CommonPrefix(prefix.unwrap_or_default().to_owned()));
        }
        if list.objects.len() + list.common_prefixes.len() >= query.limit as usize {
            return Ok(Run::More);
        }
        if let Some(prefix) = prefix {
            list.common_prefixes.push(prefix.to_owned());
            *last = Some(prefix.to_owned());
            return Ok(Run::CommonPrefix(prefix.to_owned()));
        }
        *last = Some(key.to_owned());
        list.objects.push(object_info(row)?);
    }
    Ok(Run::End)
}

/// The key up to and with the first delimiter behind the query's prefix.
fn common_prefix<'k>(key: &'k str, query: &ListObjects) -> Option<&'k str> {
    let delimiter = query.delimiter.as_deref().filter(|d| !d.is_empty())?;
    let rest = key.strip_prefix(query.prefix.as_str())?;
    let at = rest.find(delimiter)?;
    Some(&key[..query.prefix.len() + at + delimiter.len()])
}

/// The smallest text above every text that starts with `prefix`: UTF-8's byte order is the order of code points, so the
/// last character is raised by one, or dropped where it is the highest. `None`: nothing is above.
pub(crate) fn behind_all_with(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_end_of_a_prefix_is_above_its_keys_and_below_the_rest(prefix in any::<String>(), other in any::<String>()) {
            let with_prefix = format!("{prefix}{other}");
            match behind_all_with(&prefix) {
                Some(end) => {
                    prop_assert!(with_prefix < end);
                    prop_assert!(other.starts_with(&prefix) || other < prefix || other >= end);
                }
                None => prop_assert!(prefix.chars().all(|c| c == char::MAX)),
            }
        }
    }

    #[test]
    fn the_character_before_the_surrogates_is_followed_by_the_one_behind_them() {
        assert_eq!(behind_all_with("\u{d7ff}").as_deref(), Some("\u{e000}"));
        assert_eq!(behind_all_with("a\u{10ffff}").as_deref(), Some("b"));
    }
}
