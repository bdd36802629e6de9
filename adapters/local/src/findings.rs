//! What processors found in files: rows to filter and to average.

use crate::failure::Step;
use crate::filter::Filter;
use crate::jobs::page_of;
use crate::rows::{at, bucket_name, from_json, from_sql, object_key, owner};
use filemill_core::finding::{Finding, FindingRecord};
use filemill_core::ids::JobId;
use filemill_core::object::{BucketName, ObjectKey};
use filemill_core::ports::{FindingQuery, FindingSummary, Page, StateError};
use rusqlite::types::Value;
use rusqlite::{Connection, Row, params, params_from_iter};
use std::collections::BTreeMap;

pub(crate) fn put(sql: &Connection, found: &FindingRecord, values: &str) -> rusqlite::Result<()> {
    let upsert = "INSERT OR REPLACE INTO findings (bucket, key, processor, job, at, label, found, owner)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let owner = found.owner.as_ref().map(|owner| owner.as_str());
    let (bucket, key, job) = (found.bucket.as_str(), found.key.as_str(), found.job.as_str());
    let (at, label) = (found.at.as_millis(), &found.finding.label);
    sql.prepare_cached(upsert)?.execute(params![bucket, key, found.processor, job, at, label, values, owner]).map(drop)
}

pub(crate) fn remove(sql: &Connection, processor: &str, bucket: &BucketName, key: &ObjectKey) -> rusqlite::Result<()> {
    let delete = "DELETE FROM findings WHERE bucket = ?1 AND key = ?2 AND processor = ?3";
    sql.prepare_cached(delete)?.execute(params![bucket.as_str(), key.as_str(), processor]).map(drop)
}

fn filter(query: &FindingQuery) -> Filter {
    let mut filter = Filter::default();
    filter.add("processor = ?", query.processor.clone());
    filter.add("label = ?", query.label.clone());
    filter.add("bucket = ?", query.bucket.as_ref().map(|bucket| bucket.to_string()));
    filter.add_key(query.key.as_deref());
    filter.add("at >= ?", query.since.map(|time| time.as_millis()));
    filter.add("at < ?", query.until.map(|time| time.as_millis()));
    filter.add_reach(&query.reach);
    filter
}

pub(crate) fn page(sql: &Connection, query: &FindingQuery) -> Step<Page<FindingRecord>, StateError> {
    let mut filter = filter(query);
    if let Some((bucket, key, processor)) = &query.after {
        let behind = [bucket.to_string(), key.to_string(), processor.clone()];
        filter.add_all("(bucket, key, processor) > (?, ?, ?)", behind);
    }
    let select = format!(
        "SELECT bucket, key, processor, job, at, label, found, owner FROM findings {}
         ORDER BY bucket, key, processor LIMIT {}",
        filter.clause(),
        query.limit + 1
    );
    let mut statement = sql.prepare_cached(&select)?;
    let mut rows = statement.query(params_from_iter(filter.values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(row)?);
    }
    Ok(page_of(found, query.limit))
}

fn record(row: &Row<'_>) -> Step<FindingRecord, StateError> {
    let text = |column: &str| row.get::<_, String>(column);
    Ok(FindingRecord {
        processor: text("processor")?,
        bucket: bucket_name(&text("bucket")?)?,
        key: object_key(&text("key")?)?,
        job: JobId::parse(&text("job")?).ok_or_else(|| crate::failure::unreadable("a finding's job"))?,
        at: at(row, "at")?,
        owner: owner(row)?,
        finding: Finding { label: text("label")?, values: from_json(&text("found")?)? },
    })
}

pub(crate) fn summary(sql: &Connection, query: &FindingQuery) -> Step<FindingSummary, StateError> {
    let filter = filter(query);
    let labels = format!("SELECT label, count(*) FROM findings {} GROUP BY label", filter.clause());
    let labels: BTreeMap<String, u64> =
        pairs(sql, &labels, &filter.values, |row| Ok((row.get(0)?, from_sql(row.get(1)?))))?;
    let means = format!(
        "SELECT each.key, avg(each.value) FROM (SELECT found FROM findings {}), json_each(found) AS each GROUP BY each.key",
        filter.clause()
    );
    let means = pairs(sql, &means, &filter.values, |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(FindingSummary { count: labels.values().sum(), labels, means })
}

fn pairs<V>(
    sql: &Connection,
    query: &str,
    values: &[Value],
    read: impl Fn(&Row<'_>) -> rusqlite::Result<(String, V)>,
) -> rusqlite::Result<BTreeMap<String, V>> {
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(params_from_iter(values), |row| read(row))?;
    rows.collect()
}
