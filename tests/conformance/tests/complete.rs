//! The suites are complete: every case is in its list, and every numbered clause of a port is named by a case.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const SUITES: [&str; 4] = ["blob_store", "state_store", "task_queue", "message_queues"];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The source of a suite's cases.
fn source(suite: &str) -> String {
    let folder = here().join("src").join(suite);
    let files = std::fs::read_dir(&folder).expect("a suite's folder");
    files.map(|f| read(&f.expect("a file").path())).collect()
}

#[test]
fn every_case_is_in_its_list() {
    let lists = read(&here().join("src/suites.rs"));
    let listed: BTreeSet<&str> = lists.lines().filter_map(|l| l.trim().strip_suffix(',')).collect();
    for suite in SUITES {
        let source = source(suite);
        let cases = source.lines().filter_map(|l| l.strip_prefix("pub async fn "));
        let names: Vec<&str> = cases.filter_map(|l| l.split('(').next()).collect();
        assert!(!names.is_empty());
        for name in names {
            assert!(listed.contains(name), "{suite}::{name} is in no list: it would never run");
        }
    }
}

#[test]
fn every_clause_has_a_case() {
    for suite in SUITES {
        let port = read(&here().join(format!("../../crates/core/src/ports/{suite}.rs")));
        let clauses: Vec<&str> = port.lines().filter_map(|l| l.strip_prefix("//! * ")?.split(' ').next()).collect();
        assert!(clauses.len() >= 8, "{clauses:?}");
        let source = source(suite);
        let named: BTreeSet<&str> =
            source.lines().filter_map(|l| l.strip_prefix("/// ")).flat_map(|l| l.split([',', ':', ' '])).collect();
        for clause in clauses {
            assert!(named.contains(clause), "no case of {suite} names clause {clause}");
        }
    }
}
