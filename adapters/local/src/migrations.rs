//! The state file's schema, by numbered steps. `PRAGMA user_version` says how many have been taken.
//!
//! Each step and its number are one transaction, so a crash leaves a step taken or not. Steps that were released are
//! never edited; a newer file than this program knows is refused.

use crate::failpoints::failpoint;
use crate::open::OpenError;
use rusqlite::{Connection, TransactionBehavior};

const STEPS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_surveys_and_findings.sql"),
    include_str!("schema/0003_records.sql"),
    include_str!("schema/0004_attempts.sql"),
    include_str!("schema/0005_scrubbing.sql"),
    include_str!("schema/0006_removed_files.sql"),
    include_str!("schema/0007_message_queues.sql"),
    include_str!("schema/0008_owners.sql"),
    include_str!("schema/0009_ended_jobs.sql"),
    include_str!("schema/0010_what_ended_by_time.sql"),
];

pub(crate) fn migrate(db: &mut Connection) -> Result<(), OpenError> {
    loop {
        let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let taken: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let known = u32::try_from(STEPS.len()).expect("the steps are few");
        if taken > known {
            return Err(OpenError::Newer { found: taken, known });
        }
        let Some(step) = STEPS.get(taken as usize) else { return Ok(()) };
        failpoint!("local.open.migrate");
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", taken + 1)?;
        transaction.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(db: &Connection) -> Vec<String> {
        let mut names =
            db.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").expect("schema");
        let rows = names.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("names")
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut db = Connection::open_in_memory().expect("database");
        migrate(&mut db).expect("first");
        let first = tables(&db);
        assert!(first.iter().any(|sql| sql.contains("CREATE TABLE objects")));
        migrate(&mut db).expect("second");
        assert_eq!(tables(&db), first);
    }

    /// Each earlier version's file, with a row in it, becomes today's and keeps the row.
    #[test]
    fn files_of_every_earlier_version_are_brought_up_to_date() {
        let mut fresh = Connection::open_in_memory().expect("database");
        migrate(&mut fresh).expect("all steps");
        for taken in 1..STEPS.len() {
            let mut db = Connection::open_in_memory().expect("database");
            STEPS[..taken].iter().for_each(|step| db.execute_batch(step).expect("a released step"));
            db.pragma_update(None, "user_version", u32::try_from(taken).expect("few")).expect("version");
            db.execute("INSERT INTO buckets (name, created_at) VALUES ('old', 1)", []).expect("a row");
            migrate(&mut db).expect("the rest");
            assert_eq!(tables(&db), tables(&fresh));
            let kept: u32 = db.query_row("SELECT count(*) FROM buckets", [], |row| row.get(0)).expect("a count");
            assert_eq!(kept, 1);
        }
    }

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let mut db = Connection::open_in_memory().expect("database");
        db.pragma_update(None, "user_version", 999).expect("version");
        assert!(matches!(migrate(&mut db), Err(OpenError::Newer { found: 999, .. })));
    }
}
