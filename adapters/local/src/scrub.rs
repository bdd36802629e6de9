//! Reading everything again, a little at a time: content in the state file and in files, of objects and of parts.
//!
//! A round goes by id and remembers its place in the state file, so it goes on over restarts. What it finds is noted until the
//! blob is gone or reads well again. Pages that the system still holds from earlier are dropped first: the disk is asked.

use crate::blobs::BlobId;
use crate::checksum::crc_of;
use crate::failure::Step;
use crate::reading::{Piece, PiecesReader, forget_cached};
use crate::rows::{bucket_name, count, crc_from_sql, from_sql, object_key, to_sql};
use crate::store::LocalStore;
use crate::writer::Tx;
use filemill_core::limits::DAMAGE_HOLDERS_MAX;
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use rusqlite::{Connection, params};
use std::io;
use std::sync::Arc;

/// Rows looked up at a time; small content is checked with them.
const BLOBS_READ: u32 = 64;

/// Where a round is: this much of `blob`, and all before it.
#[derive(Clone, Copy, Debug)]
struct Place {
    began_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    blob: i64,
    checked: u64,
    last: i64,
}

#[derive(Default)]
struct Found {
    bytes: u64,
    good: Vec<BlobId>,
    damaged: Vec<(BlobId, String)>,
}

/// A blob as its row says, small content already judged.
struct Listed {
    blob: BlobId,
    size: u64,
    /// `None`: it is a file.
    inline: Option<Result<(), String>>,
}

pub(crate) async fn round(store: &LocalStore) -> Result<Option<ScrubRound>, BlobError> {
    let place = store.look::<_, BlobError>(|sql| Ok(place(sql)?))?;
    Ok(place.began_at.map(|began_at| ScrubRound { began_at, ended_at: place.ended_at }))
}

pub(crate) async fn scrub(store: &LocalStore, bytes: u64) -> Result<Scrubbed, BlobError> {
    let mut place = store.read::<_, BlobError, _>(|sql| Ok(place(sql)?)).await?;
    let now = store.clock.now();
    let began_at = match (place.began_at, place.ended_at) {
        (Some(began_at), None) => began_at,
        _ => {
            let last = store.read::<_, BlobError, _>(|sql| Ok(newest(sql)?)).await?;
            place = Place { began_at: Some(now), ended_at: None, blob: 0, checked: 0, last };
            now
        }
    };
    let mut found = Found::default();
    while place.ended_at.is_none() && found.bytes < bytes {
        // before the rows are looked up: then their files stay until they are read
        let ticket = store.blobs.pins.ticket();
        let listed = store.read(move |sql| list(sql, place)).await?;
        if listed.is_empty() {
            place.ended_at = Some(now);
            break;
        }
        let pin = ticket.pin(listed.iter().map(|listed| listed.blob).collect());
        let blobs = Arc::clone(&store.blobs);
        let work = move || {
            for listed in listed {
                if found.bytes >= bytes {
                    break;
                }
                check(&blobs, &mut place, &mut found, listed, bytes);
            }
            drop(pin);
            (place, found)
        };
        (place, found) = tokio::task::spawn_blocking(work).await.map_err(BlobError::unavailable)?;
    }
    let scrubbed = Scrubbed {
        bytes: found.bytes,
        damaged: found.damaged.len() as u64,
        round: ScrubRound { began_at, ended_at: place.ended_at },
    };
    store.write::<_, BlobError, _>(Durability::Lazy, move |tx| Ok(note(tx, place, &found)?)).await?;
    Ok(scrubbed)
}

/// All of it, or as much as is wanted of a large one.
fn check(blobs: &Arc<crate::blobs::BlobFolder>, place: &mut Place, found: &mut Found, listed: Listed, bytes: u64) {
    let Listed { blob, size, inline } = listed;
    let from = if place.blob == blob.number() { place.checked } else { 0 };
    let to = size.min(from + (bytes - found.bytes).next_multiple_of(crate::blobs::BLOCK_BYTES));
    let (outcome, read_to) = match inline {
        Some(outcome) => (outcome, size),
        None => (read(blobs, Piece { blob, size, range: from..to }), to),
    };
    found.bytes += read_to - from;
    let is_done = outcome.is_err() || read_to == size;
    match outcome {
        Err(what) => found.damaged.push((blob, what)),
        Ok(()) if is_done => found.good.push(blob),
        Ok(()) => {}
    }
    place.blob = blob.number();
    place.checked = if is_done { size } else { read_to };
}

/// `Err` tells of damage; what may pass (no descriptor left, say) is no damage, and the next round looks again.
fn read(blobs: &Arc<crate::blobs::BlobFolder>, piece: Piece) -> Result<(), String> {
    forget_cached(blobs, &piece);
    let pin = blobs.pins.ticket().pin(vec![piece.blob]);
    let mut reader = PiecesReader::new(Arc::clone(blobs), vec![piece], pin);
    match io::copy(&mut reader, &mut io::sink()) {
        Ok(_) => Ok(()),
        Err(e)
            if e.kind() == io::ErrorKind::InvalidData
                || e.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) =>
        {
            Err(e.to_string())
        }
        Err(e) => {
            tracing::warn!(error = %e, "stored bytes could not be read again now");
            Ok(())
        }
    }
}

fn place(sql: &Connection) -> rusqlite::Result<Place> {
    sql.query_row("SELECT began_at, ended_at, blob, checked, last FROM scrub", [], |row| {
        let time = |millis: Option<i64>| millis.map(Timestamp::from_millis);
        Ok(Place {
            began_at: time(row.get(0)?),
            ended_at: time(row.get(1)?),
            blob: row.get(2)?,
            checked: from_sql(row.get(3)?),
            last: row.get(4)?,
        })
    })
}

fn newest(sql: &Connection) -> rusqlite::Result<i64> {
    sql.query_row("SELECT coalesce(max(id), 0) FROM blobs", [], |row| row.get(0))
}

/// The blob under way, if it is not done, and those behind it.
fn list(sql: &Connection, place: Place) -> Step<Vec<Listed>, BlobError> {
    let query = "SELECT id, size, crc, data FROM blobs
        WHERE (id > ?1 OR (id = ?1 AND size > ?2)) AND id <= ?3 ORDER BY id LIMIT ?4";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![place.blob, to_sql(place.checked), place.last, BLOBS_READ])?;
    let mut listed = Vec::new();
    while let Some(row) = rows.next()? {
        let (size, crc): (u64, u64) = (from_sql(row.get(1)?), crc_from_sql(row.get(2)?));
        let data: Option<Vec<u8>> = row.get(3)?;
        let inline = data.map(|data| match data.len() as u64 == size && crc_of(&data) == crc {
            true => Ok(()),
            false => Err("its bytes in the state file are not what was stored".to_owned()),
        });
        listed.push(Listed { blob: BlobId::from_number(row.get(0)?), size, inline });
    }
    Ok(listed)
}

fn note(tx: &Tx<'_>, place: Place, found: &Found) -> rusqlite::Result<()> {
    let update = "UPDATE scrub SET began_at = ?1, ended_at = ?2, blob = ?3, checked = ?4, last = ?5";
    let millis = |at: Option<Timestamp>| at.map(|at| at.as_millis());
    let (began, ended) = (millis(place.began_at), millis(place.ended_at));
    tx.sql.prepare_cached(update)?.execute(params![began, ended, place.blob, to_sql(place.checked), place.last])?;
    let mut mended = tx.sql.prepare_cached("DELETE FROM damage WHERE blob = ?1")?;
    for blob in &found.good {
        mended.execute([blob.number()])?;
    }
    // found before: since then
    let mut insert =
        tx.sql.prepare_cached("INSERT OR IGNORE INTO damage (blob, found_at, what) VALUES (?1, ?2, ?3)")?;
    for (blob, what) in &found.damaged {
        insert.execute(params![blob.number(), tx.now.as_millis(), what])?;
    }
    tx.sql.prepare_cached("DELETE FROM damage WHERE blob NOT IN (SELECT id FROM blobs)")?.execute([])?;
    Ok(())
}

pub(crate) fn damaged_count(sql: &Connection) -> rusqlite::Result<u64> {
    let query = "SELECT count(*) FROM damage WHERE blob IN (SELECT id FROM blobs)";
    sql.prepare_cached(query)?.query_row([], |row| row.get(0)).map(from_sql)
}

/// By blob, behind the one that `after` names.
pub(crate) fn damage(sql: &Connection, after: Option<&str>, limit: u32) -> Step<Vec<Damage>, BlobError> {
    let after = after.and_then(BlobId::parse).map_or(-1, BlobId::number);
    let query = "SELECT blob, size, found_at, what FROM damage JOIN blobs ON id = blob
        WHERE blob > ?1 ORDER BY blob LIMIT ?2";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![after, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let blob = BlobId::from_number(row.get(0)?);
        found.push(Damage {
            blob: blob.to_string(),
            size: from_sql(row.get(1)?),
            found_at: Timestamp::from_millis(row.get(2)?),
            what: row.get(3)?,
            held_by: holders(sql, blob)?,
        });
    }
    Ok(found)
}

/// No index leads from a blob to its holders: damage is rare, and every upload would pay for one.
fn holders(sql: &Connection, blob: BlobId) -> Step<Vec<Holder>, BlobError> {
    let query = "SELECT bucket, key, NULL, NULL FROM objects WHERE blob = ?1
        UNION ALL SELECT bucket, key, NULL, NULL FROM objects
            WHERE sequencer IN (SELECT object FROM extents WHERE blob = ?1)
        UNION ALL SELECT bucket, key, id, number FROM parts JOIN multiparts ON id = multipart WHERE parts.blob = ?1
        LIMIT ?2";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![blob.number(), DAMAGE_HOLDERS_MAX])?;
    let mut holders = Vec::new();
    while let Some(row) = rows.next()? {
        let (bucket, key) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        let (bucket, key) = (bucket_name(&bucket)?, object_key(&key)?);
        holders.push(match (row.get::<_, Option<String>>(2)?, row.get::<_, Option<i64>>(3)?) {
            (Some(id), Some(number)) => {
                Holder::Part { upload: MultipartRef { bucket, key, id }, number: count(number) }
            }
            _ => Holder::Object { bucket, key },
        });
    }
    Ok(holders)
}
