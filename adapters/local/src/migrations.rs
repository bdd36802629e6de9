//! The state file's schema, by numbered steps. `PRAGMA user_version` says how many have been taken.
//!
//! Each step and its number are one transaction, so a crash leaves a step taken or not. Steps that were released are
//! never edited; a newer file than this program knows is refused.

use crate::failpoints::failpoint;
use crate::open::OpenError;
use rusqlite::{Connection, TransactionBehavior};

const STEPS: &[&str] = &[include_str!("schema/0001_first.sql"), include_str!("schema/0002_surveys_and_findings.sql")];

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

    #[test]
    fn a_file_of_a_newer_program_is_refused() {
        let mut db = Connection::open_in_memory().expect("database");
        db.pragma_update(None, "user_version", 999).expect("version");
        assert!(matches!(migrate(&mut db), Err(OpenError::Newer { found: 999, .. })));
    }
}
