//! What is in the message queues: sent, claimed, deleted, given up and removed when old.
//!
//! A claim moves a small row and its index entry; the body stays where it is. Everything here runs in the writer's
//! transactions and checks first and writes afterwards.

use crate::failure::{Step, refuse, unreadable};
use crate::message_bells::News;
use crate::message_rows::{self, QueueRow, queue_name};
use crate::rows::{at, count, from_json, from_sql, to_json, to_sql};
use crate::writer::Tx;
use filemill_core::message::{MessageId, MessageQueueName, NewMessage, Receipt, ReceivedMessage};
use filemill_core::ports::{MessageError, Visibility, check_batch};
use filemill_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Rows that one receive looks at: what is old or given up too often goes meanwhile.
const EXAMINED_MAX: usize = 100;
/// A queue that seemed full is counted anew no more often than this.
const RECOUNT_EVERY: Duration = Duration::from_secs(1);
/// Room for numbers between two starts: more than a process can give in its life.
const NUMBERS_PER_START: i64 = 1 << 40;

/// Only the writer's thread moves them.
#[derive(Debug)]
pub(crate) struct MessageCounters {
    /// Numbers of messages and queues, and tokens of receipts (M4): never given twice, whatever a crash took back.
    next: i64,
    in_flight: HashMap<i64, InFlight>,
    in_flight_max: u64,
}

/// Not less than there are: those that became visible again are noticed when it matters.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    at_most: u64,
    counted_at: Timestamp,
}

impl MessageCounters {
    /// `start` is the number of this start of the store.
    pub(crate) fn of_start(start: i64, in_flight_max: u64) -> Self {
        let next = start.saturating_mul(NUMBERS_PER_START);
        MessageCounters { next, in_flight: HashMap::new(), in_flight_max }
    }

    pub(crate) fn next(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    /// M10
    fn has_room(&mut self, sql: &Connection, queue: i64, wanted: u64, now: Timestamp) -> rusqlite::Result<bool> {
        let (known, max) = (self.in_flight.get(&queue).copied(), self.in_flight_max);
        let fits = |known: InFlight| known.at_most + wanted <= max;
        match known {
            Some(known) if fits(known) => return Ok(true),
            Some(known) if now.since(known.counted_at) < RECOUNT_EVERY => return Ok(false),
            _ => {}
        }
        let counted = InFlight { at_most: message_rows::in_flight(sql, queue, now)?, counted_at: now };
        self.in_flight.insert(queue, counted);
        Ok(fits(counted))
    }

    fn claimed(&mut self, queue: i64, claims: u64) {
        if let Some(known) = self.in_flight.get_mut(&queue) {
            known.at_most += claims;
        }
    }

    fn ended(&mut self, queue: i64) {
        if let Some(known) = self.in_flight.get_mut(&queue) {
            known.at_most = known.at_most.saturating_sub(1);
        }
    }
}

pub(crate) fn send(
    tx: &mut Tx<'_>,
    name: &MessageQueueName,
    messages: &[NewMessage],
    counters: &mut MessageCounters,
) -> Step<Vec<MessageId>, MessageError> {
    let queue = message_rows::need(tx.sql, name)?;
    if let Err(why) = check_batch(messages, &queue.info.settings) {
        return refuse(MessageError::Invalid(why));
    }
    let now = tx.now;
    let mut ids = Vec::with_capacity(messages.len());
    for message in messages {
        let number = counters.next();
        let id = MessageId::of(name, from_sql(number), now);
        let attributes = (!message.attributes.is_empty()).then(|| to_json(&message.attributes));
        let body = "INSERT INTO message_bodies (id, message, sent_at, attributes, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = params![number, id.as_bytes(), now.as_millis(), attributes, message.body];
        tx.sql.prepare_cached(body)?.execute(row)?;
        let visible_at = now.plus(message.delay.unwrap_or(queue.info.settings.delay));
        let entry = Entry { queue: queue.id, number, body: number, entered_at: now, visible_at, given_up_by: None };
        enter(tx.sql, &entry)?;
        tx.effects.messages.push(News::visible_at(name, visible_at, now));
        ids.push(id);
    }
    Ok(ids)
}

struct Entry<'a> {
    queue: i64,
    number: i64,
    body: i64,
    entered_at: Timestamp,
    visible_at: Timestamp,
    given_up_by: Option<&'a MessageQueueName>,
}

fn enter(sql: &Connection, entry: &Entry<'_>) -> rusqlite::Result<()> {
    let insert = "INSERT INTO messages (queue, number, body, entered_at, visible_at, given_up_by)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    sql.prepare_cached(insert)?.execute(params![
        entry.queue,
        entry.number,
        entry.body,
        entry.entered_at.as_millis(),
        entry.visible_at.as_millis(),
        entry.given_up_by.map(MessageQueueName::as_str),
    ])?;
    Ok(())
}

/// What a receive found.
pub(crate) struct Received {
    pub(crate) messages: Vec<ReceivedMessage>,
    /// Where nothing was received: when the next one becomes visible by itself, as things stand.
    pub(crate) next: Option<Timestamp>,
    /// How long a receive waits that does not say.
    pub(crate) wait: Duration,
}

pub(crate) fn receive(
    tx: &mut Tx<'_>,
    name: &MessageQueueName,
    (max, visibility): (u32, Option<Duration>),
    counters: &mut MessageCounters,
) -> Step<Received, MessageError> {
    let queue = message_rows::need(tx.sql, name)?;
    if !counters.has_room(tx.sql, queue.id, u64::from(max), tx.now)? {
        return refuse(MessageError::OverLimit);
    }
    let dead_letters = match &queue.info.settings.redrive {
        Some(redrive) => message_rows::find(tx.sql, &redrive.dead_letters)?.map(|to| (redrive.receives_max, to)),
        None => None,
    };
    let until = tx.now.plus(visibility.unwrap_or(queue.info.settings.visibility));
    let mut messages = Vec::new();
    let mut examined = 0;
    while messages.len() < max as usize && examined < EXAMINED_MAX {
        let visible = visible(tx.sql, queue.id, tx.now, max as usize - messages.len())?;
        if visible.is_empty() {
            break;
        }
        examined += visible.len();
        for row in visible {
            match &dead_letters {
                _ if is_old(&queue, &row, tx.now) => remove(tx.sql, queue.id, row.number, row.body)?,
                Some((receives_max, to)) if row.receives >= *receives_max => give_up(tx, &queue, &row, to, counters)?,
                _ => messages.push(claim(tx, queue.id, row, until, counters)?),
            }
        }
        if until <= tx.now && !messages.is_empty() {
            // they are visible again at once, and not to be received twice in one call
            break;
        }
    }
    counters.claimed(queue.id, messages.len() as u64);
    let next = if messages.is_empty() {
        next_visible(tx.sql, queue.id)?
    } else {
        tx.effects.messages.push(News::visible_at(name, until, tx.now));
        None
    };
    Ok(Received { messages, next, wait: queue.info.settings.wait })
}

struct MessageRow {
    number: i64,
    body: i64,
    entered_at: Timestamp,
    receives: u32,
    first_received_at: Option<Timestamp>,
    given_up_by: Option<MessageQueueName>,
    content: Content,
}

/// What was sent, as it lies in `message_bodies`.
struct Content {
    id: MessageId,
    sent_at: Timestamp,
    attributes: Option<String>,
    body: String,
}

/// Those that are visible longest come first; among equals by the rest of the index, so that nothing is sorted.
fn visible(sql: &Connection, queue: i64, now: Timestamp, limit: usize) -> Step<Vec<MessageRow>, MessageError> {
    let query = "SELECT m.number, m.body, m.entered_at, m.receives, m.first_received_at, m.given_up_by,
        b.message, b.sent_at, b.attributes, b.body
        FROM messages m LEFT JOIN message_bodies b ON b.id = m.body
        WHERE m.queue = ?1 AND m.visible_at <= ?2 ORDER BY m.visible_at, m.receives, m.number LIMIT ?3";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![queue, now.as_millis(), to_sql(limit as u64)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(message_row(row)?);
    }
    Ok(found)
}

fn message_row(row: &Row<'_>) -> Step<MessageRow, MessageError> {
    let number: i64 = row.get(0)?;
    let Some(id) = row.get::<_, Option<_>>(6)? else {
        return Err(unreadable(format_args!("message {number} has no body")));
    };
    let first_received_at: Option<i64> = row.get(4)?;
    let given_up_by = row.get_ref(5)?.as_str_or_null().map_err(rusqlite::Error::from)?;
    Ok(MessageRow {
        number,
        body: row.get(1)?,
        entered_at: at(row, 2)?,
        receives: count(row.get(3)?),
        first_received_at: first_received_at.map(Timestamp::from_millis),
        given_up_by: given_up_by.map(queue_name).transpose()?,
        content: Content {
            id: MessageId::from_bytes(id),
            sent_at: at(row, 7)?,
            attributes: row.get(8)?,
            body: row.get(9)?,
        },
    })
}

/// M9
fn is_old(queue: &QueueRow, row: &MessageRow, now: Timestamp) -> bool {
    row.entered_at.plus(queue.info.settings.retention) <= now
}

/// M3, M4
fn claim(
    tx: &Tx<'_>,
    queue: i64,
    row: MessageRow,
    until: Timestamp,
    counters: &mut MessageCounters,
) -> Step<ReceivedMessage, MessageError> {
    let token = counters.next();
    let first_received_at = row.first_received_at.unwrap_or(tx.now);
    let update = "UPDATE messages SET visible_at = ?3, receives = receives + 1, token = ?4, first_received_at = ?5
        WHERE queue = ?1 AND number = ?2";
    let claimed = params![queue, row.number, until.as_millis(), token, first_received_at.as_millis()];
    tx.sql.prepare_cached(update)?.execute(claimed)?;
    let Content { id, sent_at, attributes, body } = row.content;
    Ok(ReceivedMessage {
        id,
        receipt: Receipt { message: from_sql(row.number), token: from_sql(token) },
        body,
        attributes: attributes.as_deref().map_or_else(|| Ok(Default::default()), from_json)?,
        sent_at,
        first_received_at,
        receives: row.receives + 1,
        given_up_by: row.given_up_by,
    })
}

/// M8
fn give_up(
    tx: &mut Tx<'_>,
    queue: &QueueRow,
    row: &MessageRow,
    to: &QueueRow,
    counters: &mut MessageCounters,
) -> rusqlite::Result<()> {
    let leave = "DELETE FROM messages WHERE queue = ?1 AND number = ?2";
    tx.sql.prepare_cached(leave)?.execute([queue.id, row.number])?;
    let entry = Entry {
        queue: to.id,
        number: counters.next(),
        body: row.body,
        entered_at: tx.now,
        visible_at: tx.now,
        given_up_by: Some(&queue.info.name),
    };
    enter(tx.sql, &entry)?;
    tx.effects.messages.push(News::visible_at(&to.info.name, tx.now, tx.now));
    Ok(())
}

pub(crate) fn delete(
    tx: &Tx<'_>,
    name: &MessageQueueName,
    receipts: &[Receipt],
    counters: &mut MessageCounters,
) -> Step<(), MessageError> {
    let queue = message_rows::need_id(tx.sql, name)?;
    let newest = "DELETE FROM messages WHERE queue = ?1 AND number = ?2 AND token = ?3 AND receives > 0 RETURNING body";
    for receipt in receipts {
        let row = params![queue, to_sql(receipt.message), to_sql(receipt.token)];
        let body: Option<i64> = tx.sql.prepare_cached(newest)?.query_row(row, |row| row.get(0)).optional()?;
        if let Some(body) = body {
            tx.sql.prepare_cached("DELETE FROM message_bodies WHERE id = ?1")?.execute([body])?;
            counters.ended(queue);
        }
    }
    Ok(())
}

pub(crate) fn change_visibility(
    tx: &mut Tx<'_>,
    name: &MessageQueueName,
    changes: &[(Receipt, Duration)],
) -> Step<Vec<Visibility>, MessageError> {
    let queue = message_rows::need_id(tx.sql, name)?;
    let newest = "UPDATE messages SET visible_at = ?4
        WHERE queue = ?1 AND number = ?2 AND token = ?3 AND receives > 0 AND visible_at > ?5";
    let mut answers = Vec::with_capacity(changes.len());
    for (receipt, visibility) in changes {
        let until = tx.now.plus(*visibility);
        let (number, token) = (to_sql(receipt.message), to_sql(receipt.token));
        let row = params![queue, number, token, until.as_millis(), tx.now.as_millis()];
        let moved = tx.sql.prepare_cached(newest)?.execute(row)? > 0;
        if moved {
            tx.effects.messages.push(News::visible_at(name, until, tx.now));
        }
        answers.push(if moved { Visibility::Moved } else { Visibility::NotInFlight });
    }
    Ok(answers)
}

/// M9, M11
pub(crate) fn tidy(tx: &Tx<'_>, counters: &mut MessageCounters, limit: u32) -> Step<u64, MessageError> {
    let queues = message_rows::all(tx.sql)?;
    let known: HashSet<i64> = queues.iter().map(|queue| queue.id).collect();
    counters.in_flight.retain(|queue, _| known.contains(queue));
    let mut removed = 0;
    for orphaned in ids_with_messages(tx.sql)?.difference(&known) {
        removed += remove_first(tx.sql, *orphaned, Timestamp::from_millis(i64::MAX), limit - removed)?;
    }
    for queue in &queues {
        removed += remove_first(tx.sql, queue.id, tx.now.minus(queue.info.settings.retention), limit - removed)?;
    }
    Ok(u64::from(removed))
}

/// By one step through the table for each.
fn ids_with_messages(sql: &Connection) -> rusqlite::Result<HashSet<i64>> {
    let mut statement = sql.prepare_cached("SELECT queue FROM messages WHERE queue > ?1 ORDER BY queue LIMIT 1")?;
    let mut found = HashSet::new();
    let mut last = i64::MIN;
    while let Some(queue) = statement.query_row([last], |row| row.get(0)).optional()? {
        found.insert(queue);
        last = queue;
    }
    Ok(found)
}

/// The oldest of a queue, as long as they came by `entered_by`.
fn remove_first(sql: &Connection, queue: i64, entered_by: Timestamp, limit: u32) -> rusqlite::Result<u32> {
    let query = "SELECT number, body, entered_at FROM messages WHERE queue = ?1 ORDER BY number LIMIT ?2";
    let mut statement = sql.prepare_cached(query)?;
    let rows = statement.query_map(params![queue, limit], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let first: Vec<(i64, i64, i64)> = rows.collect::<Result<_, _>>()?;
    let mut removed = 0;
    for (number, body, _) in first.into_iter().take_while(|(_, _, entered)| *entered <= entered_by.as_millis()) {
        remove(sql, queue, number, body)?;
        removed += 1;
    }
    Ok(removed)
}

fn remove(sql: &Connection, queue: i64, number: i64, body: i64) -> rusqlite::Result<()> {
    sql.prepare_cached("DELETE FROM messages WHERE queue = ?1 AND number = ?2")?.execute([queue, number])?;
    sql.prepare_cached("DELETE FROM message_bodies WHERE id = ?1")?.execute([body])?;
    Ok(())
}

fn next_visible(sql: &Connection, queue: i64) -> rusqlite::Result<Option<Timestamp>> {
    let query = "SELECT min(visible_at) FROM messages WHERE queue = ?1";
    let next: Option<i64> = sql.prepare_cached(query)?.query_row([queue], |row| row.get(0))?;
    Ok(next.map(Timestamp::from_millis))
}

/// M15
pub(crate) fn move_all(sql: &Connection, millis: i64) -> rusqlite::Result<usize> {
    sql.execute("UPDATE messages SET visible_at = visible_at + ?1", [millis])
}
