//! Records: stored whole, found by their fields.
//!
//! A field is a row of its own beside the record, so that every field is an index. The first field of a query drives the
//! search, the others are looked up for what it finds.

use crate::failure::Step;
use crate::filter::Filter;
use crate::jobs::page_of;
use crate::listing::behind_all_with;
use crate::rows::{from_json, from_sql, to_json, to_sql};
use filemill_core::access::Reach;
use filemill_core::ports::{Page, StateError};
use filemill_core::record::{Record, RecordGroup, RecordKind, RecordOrder, RecordQuery};
use filemill_core::time::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, params, params_from_iter};

const COLUMNS: &str = "id, rev, due_at, fields, document";

/// 0 if there is none.
pub(crate) fn rev(sql: &Connection, kind: RecordKind, id: &str) -> rusqlite::Result<u64> {
    let mut statement = sql.prepare_cached("SELECT rev FROM records WHERE kind = ?1 AND id = ?2")?;
    let rev: Option<i64> = statement.query_row([kind.as_str(), id], |row| row.get(0)).optional()?;
    Ok(rev.map_or(0, from_sql))
}

pub(crate) fn put(sql: &Connection, record: &Record, document: &str) -> rusqlite::Result<()> {
    unindex(sql, record.kind, &record.id)?;
    let upsert = "INSERT INTO records (kind, id, rev, due_at, fields, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
        ON CONFLICT (kind, id) DO UPDATE SET rev = ?3, due_at = ?4, fields = ?5, document = ?6";
    let (kind, due_at) = (record.kind.as_str(), record.due_at.map(|at| at.as_millis()));
    let values = params![kind, record.id, to_sql(record.rev), due_at, to_json(&record.fields), document];
    sql.prepare_cached(upsert)?.execute(values)?;
    let mut insert = sql.prepare_cached("INSERT INTO record_fields (kind, name, value, id) VALUES (?1, ?2, ?3, ?4)")?;
    for (name, value) in &record.fields {
        insert.execute(params![kind, name, value, record.id])?;
    }
    Ok(())
}

pub(crate) fn remove(sql: &Connection, kind: RecordKind, id: &str) -> rusqlite::Result<()> {
    unindex(sql, kind, id)?;
    sql.prepare_cached("DELETE FROM records WHERE kind = ?1 AND id = ?2")?.execute([kind.as_str(), id]).map(drop)
}

/// Nothing finds it by the fields that are stored with it now.
fn unindex(sql: &Connection, kind: RecordKind, id: &str) -> rusqlite::Result<()> {
    let delete = "DELETE FROM record_fields WHERE (kind, name, value, id) IN (
        SELECT ?1, each.key, each.value, ?2 FROM records, json_each(records.fields) AS each
        WHERE records.kind = ?1 AND records.id = ?2)";
    sql.prepare_cached(delete)?.execute([kind.as_str(), id]).map(drop)
}

pub(crate) fn find(sql: &Connection, kind: RecordKind, id: &str) -> Step<Option<Record>, StateError> {
    let select = format!("SELECT {COLUMNS} FROM records WHERE kind = ?1 AND id = ?2");
    Ok(select_all(sql, kind, &select, [kind.as_str(), id])?.pop())
}

pub(crate) fn page(sql: &Connection, query: &RecordQuery) -> Step<Page<Record>, StateError> {
    let mut search = Search::of(query);
    let (behind, direction) = match query.order {
        RecordOrder::NewestFirst => ("found.id < ?", "DESC"),
        RecordOrder::OldestFirst => ("found.id > ?", "ASC"),
    };
    search.add(behind, query.after.as_deref());
    let Search { from, .. } = search;
    let ids = format!("SELECT found.id AS wanted FROM {from} {} ORDER BY found.id {direction}", search.clause());
    let select = format!(
        "SELECT {COLUMNS} FROM ({ids} LIMIT {}) CROSS JOIN records ON records.kind = ? AND records.id = wanted
         ORDER BY id {direction}",
        query.limit + 1
    );
    search.values.push(query.kind.as_str().to_owned());
    Ok(page_of(select_all(sql, query.kind, &select, params_from_iter(search.values))?, query.limit))
}

pub(crate) fn count(sql: &Connection, query: &RecordQuery) -> Step<u64, StateError> {
    let search = Search::of(query);
    let select = format!("SELECT count(*) FROM {} {}", search.from, search.clause());
    let mut statement = sql.prepare_cached(&select)?;
    Ok(from_sql(statement.query_row(params_from_iter(search.values), |row| row.get(0))?))
}

pub(crate) fn groups(sql: &Connection, query: &RecordQuery, by: &'static str) -> Step<Vec<RecordGroup>, StateError> {
    let search = Search::of(query);
    let ids = format!("SELECT found.kind AS kind, found.id AS wanted FROM {} {}", search.from, search.clause());
    let select = format!(
        "SELECT json_extract(fields, '$.{by}') AS value, count(*), min(id), max(id)
         FROM ({ids}) AS found CROSS JOIN records ON records.kind = found.kind AND records.id = wanted
         WHERE value IS NOT NULL GROUP BY value ORDER BY count(*) DESC, value LIMIT {}",
        query.limit
    );
    let mut statement = sql.prepare_cached(&select)?;
    let rows = statement.query_map(params_from_iter(search.values), |row| {
        let count = from_sql(row.get(1)?);
        Ok(RecordGroup { value: row.get(0)?, count, first: row.get(2)?, last: row.get(3)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn due(sql: &Connection, kind: RecordKind, before: Timestamp, limit: u32) -> Step<Vec<Record>, StateError> {
    let select = format!("SELECT {COLUMNS} FROM records WHERE kind = ?1 AND due_at < ?2 ORDER BY due_at, id LIMIT ?3");
    select_all(sql, kind, &select, params![kind.as_str(), before.as_millis(), limit])
}

/// Where to look, named `found`, and what must hold there.
struct Search {
    from: &'static str,
    terms: Vec<String>,
    values: Vec<String>,
}

impl Search {
    fn of(query: &RecordQuery) -> Self {
        let from = if query.fields.is_empty() { "records AS found" } else { "record_fields AS found" };
        let mut search = Search { from, terms: Vec::new(), values: Vec::new() };
        search.add("found.kind = ?", Some(query.kind.as_str()));
        for (nth, (name, wanted)) in query.fields.iter().enumerate() {
            search.add_field(nth == 0, name, wanted);
        }
        search.add_reach(&query.reach);
        search.add("found.id >= ?", query.from.as_deref());
        search.add("found.id < ?", query.before.as_deref());
        search
    }

    /// `term` holds one `?` for the value, and counts only if there is one.
    fn add(&mut self, term: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.terms.push(term.to_owned());
            self.values.push(value.to_owned());
        }
    }

    fn add_field(&mut self, drives: bool, name: &str, wanted: &str) {
        let (is_it, values) = match wanted.strip_suffix('*').map(|prefix| (prefix, behind_all_with(prefix))) {
            None => ("value = ?", vec![wanted.to_owned()]),
            Some((prefix, None)) => ("value >= ?", vec![prefix.to_owned()]),
            Some((prefix, Some(end))) => ("value >= ? AND value < ?", vec![prefix.to_owned(), end]),
        };
        self.terms.push(if drives {
            format!("name = ? AND {is_it}")
        } else {
            format!("found.id IN (SELECT id FROM record_fields WHERE kind = found.kind AND name = ? AND {is_it})")
        });
        self.values.push(name.to_owned());
        self.values.extend(values);
    }

    fn add_reach(&mut self, reach: &Reach) {
        if reach.is_everything() {
            return;
        }
        let mut filter = Filter::default();
        filter.add_reach(reach);
        let columns = "json_extract(fields, '$.bucket') AS bucket, json_extract(fields, '$.key') AS key,
            json_extract(fields, '$.owner') AS owner";
        self.terms.push(format!(
            "found.id IN (SELECT id FROM (SELECT id, {columns} FROM records WHERE kind = found.kind) {})",
            filter.clause()
        ));
        self.values.extend(filter.values.into_iter().filter_map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        }));
    }

    fn clause(&self) -> String {
        format!("WHERE {}", self.terms.join(" AND "))
    }
}

fn select_all(sql: &Connection, kind: RecordKind, select: &str, params: impl Params) -> Step<Vec<Record>, StateError> {
    let mut statement = sql.prepare_cached(select)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(record(kind, row)?);
    }
    Ok(found)
}

fn record(kind: RecordKind, row: &Row<'_>) -> Step<Record, StateError> {
    let text = |column: &str| row.get_ref(column)?.as_str().map_err(rusqlite::Error::from);
    let due_at: Option<i64> = row.get("due_at")?;
    Ok(Record {
        kind,
        id: row.get("id")?,
        rev: from_sql(row.get("rev")?),
        due_at: due_at.map(Timestamp::from_millis),
        fields: from_json(text("fields")?)?,
        document: from_json(text("document")?)?,
    })
}
