//! Message queues as rows: names, settings and counts. What is in the queues is `messages`' affair.

use crate::failure::{Step, refuse, unreadable};
use crate::rows::{at, count, from_sql};
use crate::writer::Tx;
use filemill_core::limits::MESSAGE_QUEUES_MAX;
use filemill_core::message::{MessageCounts, MessageQueueInfo, MessageQueueName, MessageQueueSettings, Redrive};
use filemill_core::ports::{ListMessageQueues, MessageError};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::time::Duration;

/// As [`queue`] reads them, by place: names are looked up for each row, and every call of an action reads a queue.
macro_rules! columns {
    () => {
        "id, name, created_at, changed_at, visibility, retention, delay, wait, message_bytes_max, dead_letters, receives_max"
    };
}

/// With the id that its messages name.
pub(crate) struct QueueRow {
    pub(crate) id: i64,
    pub(crate) info: MessageQueueInfo,
}

pub(crate) fn find(sql: &Connection, name: &MessageQueueName) -> Step<Option<QueueRow>, MessageError> {
    let mut statement = sql.prepare_cached(concat!("SELECT ", columns!(), " FROM message_queues WHERE name = ?1"))?;
    let mut rows = statement.query([name.as_str()])?;
    rows.next()?.map(queue).transpose()
}

pub(crate) fn need(sql: &Connection, name: &MessageQueueName) -> Step<QueueRow, MessageError> {
    match find(sql, name)? {
        Some(queue) => Ok(queue),
        None => refuse(MessageError::NotFound(name.clone())),
    }
}

/// Where no setting matters.
pub(crate) fn need_id(sql: &Connection, name: &MessageQueueName) -> Step<i64, MessageError> {
    let mut statement = sql.prepare_cached("SELECT id FROM message_queues WHERE name = ?1")?;
    match statement.query_row([name.as_str()], |row| row.get(0)).optional()? {
        Some(id) => Ok(id),
        None => refuse(MessageError::NotFound(name.clone())),
    }
}

/// `id` is one that was never given before.
pub(crate) fn create(
    tx: &Tx<'_>,
    name: &MessageQueueName,
    settings: &MessageQueueSettings,
    id: i64,
) -> Step<(), MessageError> {
    check(tx.sql, name, settings)?;
    match find(tx.sql, name)? {
        Some(there) if there.info.settings == *settings => return Ok(()),
        Some(_) => return refuse(MessageError::Conflict(name.clone())),
        None => {}
    }
    let queues: i64 = tx.sql.query_row("SELECT count(*) FROM message_queues", [], |row| row.get(0))?;
    if usize::try_from(queues).unwrap_or(usize::MAX) >= MESSAGE_QUEUES_MAX {
        return refuse(MessageError::Invalid(format!("there are {MESSAGE_QUEUES_MAX} message queues; delete one")));
    }
    let now = tx.now.as_millis();
    let insert = "INSERT INTO message_queues (id, name, created_at, changed_at, visibility, retention, delay, wait,
        message_bytes_max) VALUES (?1, ?2, ?3, ?3, 0, 0, 0, 0, 0)";
    tx.sql.execute(insert, params![id, name.as_str(), now])?;
    Ok(write(tx, name, settings)?)
}

pub(crate) fn set(tx: &Tx<'_>, name: &MessageQueueName, settings: &MessageQueueSettings) -> Step<(), MessageError> {
    need_id(tx.sql, name)?;
    check(tx.sql, name, settings)?;
    Ok(write(tx, name, settings)?)
}

/// M13
fn check(sql: &Connection, name: &MessageQueueName, settings: &MessageQueueSettings) -> Step<(), MessageError> {
    if let Err((what, why)) = settings.check(name) {
        return refuse(MessageError::Invalid(format!("{what}: {why}")));
    }
    if let Some(redrive) = &settings.redrive {
        need_id(sql, &redrive.dead_letters)?;
    }
    Ok(())
}

fn write(tx: &Tx<'_>, name: &MessageQueueName, settings: &MessageQueueSettings) -> rusqlite::Result<()> {
    let update = "UPDATE message_queues SET changed_at = ?2, visibility = ?3, retention = ?4, delay = ?5, wait = ?6,
        message_bytes_max = ?7, dead_letters = ?8, receives_max = ?9 WHERE name = ?1";
    tx.sql.execute(
        update,
        params![
            name.as_str(),
            tx.now.as_millis(),
            millis(settings.visibility),
            millis(settings.retention),
            millis(settings.delay),
            millis(settings.wait),
            settings.message_bytes_max,
            settings.redrive.as_ref().map(|r| r.dead_letters.as_str()),
            settings.redrive.as_ref().map(|r| r.receives_max),
        ],
    )?;
    Ok(())
}

/// What it held is removed by `tidy`.
pub(crate) fn delete(tx: &Tx<'_>, name: &MessageQueueName) -> Step<(), MessageError> {
    let id = need_id(tx.sql, name)?;
    tx.sql.execute("DELETE FROM message_queues WHERE id = ?1", [id])?;
    Ok(())
}

/// The same: messages name the id that the queue had.
pub(crate) fn purge(tx: &Tx<'_>, name: &MessageQueueName, id: i64) -> Step<(), MessageError> {
    let there = need_id(tx.sql, name)?;
    tx.sql.execute("UPDATE message_queues SET id = ?2 WHERE id = ?1", [there, id])?;
    Ok(())
}

pub(crate) fn list(sql: &Connection, wanted: &ListMessageQueues) -> Step<Vec<MessageQueueInfo>, MessageError> {
    let query = concat!(
        "SELECT ",
        columns!(),
        " FROM message_queues WHERE name > ?1 AND substr(name, 1, length(?2)) = ?2
        AND (?3 IS NULL OR dead_letters = ?3) ORDER BY name LIMIT ?4"
    );
    let mut statement = sql.prepare_cached(query)?;
    let after = wanted.after.as_ref().map_or("", MessageQueueName::as_str);
    let dead_letters = wanted.dead_letters.as_ref().map(MessageQueueName::as_str);
    let mut rows = statement.query(params![after, wanted.prefix, dead_letters, wanted.limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(queue(row)?.info);
    }
    Ok(found)
}

/// Every queue with its id.
pub(crate) fn all(sql: &Connection) -> Step<Vec<QueueRow>, MessageError> {
    let mut statement = sql.prepare_cached(concat!("SELECT ", columns!(), " FROM message_queues"))?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(queue(row)?);
    }
    Ok(found)
}

/// By the index alone, however long the queue.
pub(crate) fn counts(sql: &Connection, name: &MessageQueueName, now: Timestamp) -> Step<MessageCounts, MessageError> {
    let (id, now) = (need_id(sql, name)?, now.as_millis());
    let query = "SELECT coalesce(sum(visible_at <= ?2), 0), coalesce(sum(visible_at > ?2 AND receives > 0), 0),
        coalesce(sum(visible_at > ?2 AND receives = 0), 0) FROM messages WHERE queue = ?1";
    let counts = sql.prepare_cached(query)?.query_row([id, now], |row| {
        let number = |column| row.get(column).map(from_sql);
        Ok(MessageCounts { visible: number(0)?, in_flight: number(1)?, delayed: number(2)?, oldest_at: None })
    })?;
    let oldest = "SELECT entered_at FROM messages WHERE queue = ?1 ORDER BY number LIMIT 1";
    let oldest: Option<i64> = sql.prepare_cached(oldest)?.query_row([id], |row| row.get(0)).optional()?;
    Ok(MessageCounts { oldest_at: oldest.map(Timestamp::from_millis), ..counts })
}

pub(crate) fn in_flight(sql: &Connection, id: i64, now: Timestamp) -> rusqlite::Result<u64> {
    let query = "SELECT count(*) FROM messages WHERE queue = ?1 AND visible_at > ?2 AND receives > 0";
    sql.prepare_cached(query)?.query_row([id, now.as_millis()], |row| row.get(0).map(from_sql))
}

fn queue(row: &Row<'_>) -> Step<QueueRow, MessageError> {
    let duration = |column: usize| row.get(column).map(|n: i64| Duration::from_millis(from_sql(n)));
    let text = |column: usize| row.get_ref(column)?.as_str_or_null().map_err(rusqlite::Error::from);
    let receives_max: Option<i64> = row.get(10)?;
    let redrive = match (text(9)?, receives_max) {
        (Some(to), Some(max)) => Some(Redrive { dead_letters: queue_name(to)?, receives_max: count(max) }),
        _ => None,
    };
    let settings = MessageQueueSettings {
        visibility: duration(4)?,
        retention: duration(5)?,
        delay: duration(6)?,
        wait: duration(7)?,
        message_bytes_max: count(row.get(8)?),
        redrive,
    };
    let name = queue_name(text(1)?.unwrap_or_default())?;
    let info = MessageQueueInfo { name, settings, created_at: at(row, 2)?, changed_at: at(row, 3)? };
    Ok(QueueRow { id: row.get(0)?, info })
}

pub(crate) fn queue_name(text: &str) -> Step<MessageQueueName, MessageError> {
    MessageQueueName::parse(text).map_err(unreadable)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
