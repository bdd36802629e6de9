//! The live feed's stored events.

use crate::failure::{Step, StoreFailure, unreadable};
use crate::rows::{at, from_json, from_sql, owner, to_sql};
use crate::writer::Tx;
use filemill_core::event::{EventKind, LiveEvent, NewEvent};
use filemill_core::ids::{FileId, JobId, UploadId};
use filemill_core::ports::StateError;
use rusqlite::{Connection, OptionalExtension, Row, params};

pub(crate) fn after(sql: &Connection, seq: u64, limit: u32) -> Step<Vec<LiveEvent>, StateError> {
    let mut statement = sql.prepare_cached("SELECT * FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
    let mut rows = statement.query(params![to_sql(seq), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(event(row)?);
    }
    Ok(found)
}

/// The highest number given out, also after its event was cleaned away.
pub(crate) fn last(sql: &Connection) -> rusqlite::Result<u64> {
    let query = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";
    let seq: Option<i64> = sql.prepare_cached(query)?.query_row([], |row| row.get(0)).optional()?;
    Ok(seq.map_or(0, from_sql))
}

/// Numbers that the start before may have told before a power loss took their events; one start has at most this many
/// that are not on disk.
const UNSYNCED_MAX: u32 = 10_000;

/// At a start after a crash: passes over numbers that were told and lost, so that whoever resumes behind one misses nothing.
pub(crate) fn leave_room(sql: &Connection) -> rusqlite::Result<()> {
    let skip = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name = 'events'";
    sql.execute(skip, [UNSYNCED_MAX]).map(drop)
}

/// Removes up to `limit` of the oldest events, keeping the newest `kept`.
pub(crate) fn clean(tx: &Tx<'_>, kept: u64, limit: u32) -> rusqlite::Result<u64> {
    let end = to_sql(last(tx.sql)?.saturating_sub(kept));
    let delete = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= ?1 ORDER BY seq LIMIT ?2)";
    Ok(tx.sql.prepare_cached(delete)?.execute(params![end, limit])? as u64)
}

fn event(row: &Row<'_>) -> Step<LiveEvent, StateError> {
    let kind: String = row.get("kind")?;
    let data: String = row.get("data")?;
    let event = NewEvent {
        kind: EventKind::parse(&kind).ok_or_else(|| unreadable(format_args!("event kind {kind:?}")))?,
        at: at(row, "at")?,
        job: id(row, "job", JobId::parse)?,
        file: id(row, "file", FileId::parse)?,
        upload: id(row, "upload", UploadId::parse)?,
        owner: owner(row)?,
        data: from_json(&data)?,
    };
    Ok(LiveEvent { seq: Some(from_sql(row.get("seq")?)), event })
}

fn id<T, E: From<StoreFailure>>(row: &Row<'_>, column: &str, parse: fn(&str) -> Option<T>) -> Step<Option<T>, E> {
    let text: Option<String> = row.get(column)?;
    match text {
        None => Ok(None),
        Some(text) => parse(&text).map(Some).ok_or_else(|| unreadable(format_args!("an event's {column} {text:?}"))),
    }
}
