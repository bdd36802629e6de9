//! Which blobs an object's content is made of, and how many hold each blob. See docs/decisions/0001-extents.md.

use crate::blobs::BlobId;
use crate::objects::{Held, Stored};
use crate::reading::Piece;
use crate::rows::{from_sql, to_sql};
use crate::writer::Tx;
use rusqlite::{Connection, params};
use std::ops::Range;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent {
    pub(crate) blob: BlobId,
    pub(crate) size: u64,
}

/// Ties content to the object `number`; one blob stands in the object's own row.
pub(crate) fn attach(sql: &Connection, number: i64, held: Held) -> rusqlite::Result<Option<BlobId>> {
    let extents = match held {
        Held::Empty => return Ok(None),
        Held::One(blob) => return Ok(Some(blob)),
        Held::Many(extents) => extents,
    };
    if let [only] = extents[..] {
        return Ok(Some(only.blob));
    }
    let insert = "INSERT INTO extents (object, start, size, blob) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = sql.prepare_cached(insert)?;
    let mut start = 0;
    for extent in extents {
        statement.execute(params![number, to_sql(start), to_sql(extent.size), extent.blob.number()])?;
        start += extent.size;
    }
    Ok(None)
}

/// One more object holds this one's content.
pub(crate) fn share(sql: &Connection, stored: &Stored) -> rusqlite::Result<Held> {
    let mut hold = sql.prepare_cached("UPDATE blobs SET refs = refs + 1 WHERE id = ?1")?;
    if let Some(blob) = stored.blob {
        hold.execute([blob.number()])?;
        return Ok(Held::One(blob));
    }
    let extents = of_object(sql, stored.number)?;
    for extent in &extents {
        hold.execute([extent.blob.number()])?;
    }
    Ok(if extents.is_empty() { Held::Empty } else { Held::Many(extents) })
}

/// The object no longer holds its content; blobs that nobody holds lose their rows.
pub(crate) fn release(tx: &mut Tx<'_>, stored: &Stored) -> rusqlite::Result<()> {
    if let Some(blob) = stored.blob {
        return release_blob(tx, blob);
    }
    if stored.info.size == 0 {
        return Ok(());
    }
    for extent in of_object(tx.sql, stored.number)? {
        release_blob(tx, extent.blob)?;
    }
    tx.sql.prepare_cached("DELETE FROM extents WHERE object = ?1")?.execute([stored.number])?;
    Ok(())
}

pub(crate) fn release_blob(tx: &mut Tx<'_>, blob: BlobId) -> rusqlite::Result<()> {
    let delete = "DELETE FROM blobs WHERE id = ?1 AND refs = 1 RETURNING data IS NULL";
    let mut statement = tx.sql.prepare_cached(delete)?;
    let mut rows = statement.query([blob.number()])?;
    match rows.next()? {
        Some(row) => {
            if row.get(0)? {
                tx.effects.released.push(blob);
            } else {
                tx.effects.erased = true;
            }
            // the statement deletes when it is stepped to its end
            while rows.next()?.is_some() {}
        }
        None => {
            tx.sql.prepare_cached("UPDATE blobs SET refs = refs - 1 WHERE id = ?1")?.execute([blob.number()])?;
        }
    }
    Ok(())
}

/// The pieces of blob files that hold `range` of an object of several blobs.
pub(crate) fn pieces(sql: &Connection, number: i64, range: &Range<u64>) -> rusqlite::Result<Vec<Piece>> {
    let query = "SELECT start, size, blob FROM extents
        WHERE object = ?1 AND start < ?3
          AND start >= (SELECT max(start) FROM extents WHERE object = ?1 AND start <= ?2)
        ORDER BY start";
    let mut statement = sql.prepare_cached(query)?;
    let mut rows = statement.query(params![number, to_sql(range.start), to_sql(range.end)])?;
    let mut pieces = Vec::new();
    while let Some(row) = rows.next()? {
        let (start, size) = (from_sql(row.get(0)?), from_sql(row.get(1)?));
        let within = range.start.saturating_sub(start)..(range.end - start).min(size);
        pieces.push(Piece { blob: BlobId::from_number(row.get(2)?), size, range: within });
    }
    Ok(pieces)
}

fn of_object(sql: &Connection, number: i64) -> rusqlite::Result<Vec<Extent>> {
    let mut statement = sql.prepare_cached("SELECT blob, size FROM extents WHERE object = ?1 ORDER BY start")?;
    let rows = statement.query_map([number], |row| {
        Ok(Extent { blob: BlobId::from_number(row.get(0)?), size: from_sql(row.get(1)?) })
    })?;
    rows.collect()
}
