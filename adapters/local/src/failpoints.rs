//! Named places where a test can make a durable step fail, or end the process there.
//!
//! Free when the feature `failpoints` is off. `return` makes the step fail with an I/O error; `return(abort)` aborts
//! the process on the spot, as a crash would. The environment variable `FAILPOINTS` sets them in a running binary.

/// Every failpoint of this crate, named `local.AREA.STEP`, so that a test can visit each.
pub const FAILPOINTS: &[&str] = &[
    "local.folder.make",
    "local.folder.sync",
    "local.open.connect",
    "local.open.migrate",
    "local.open.sync",
    "local.open.count",
    "local.recovery.leases",
    "local.recovery.unlink",
    "local.recovery.done",
    "local.stage.create",
    "local.stage.write",
    "local.stage.flush",
    "local.stage.datasync",
    "local.stage.dirsync",
    "local.group.begin",
    "local.group.before_commit",
    "local.group.sync",
    "local.group.after_commit",
    "local.blob.unlink",
    "local.checkpoint.beside",
    "local.checkpoint.empty",
    "local.checkpoint.restart",
];

/// The error of a failpoint, or the end of the process.
#[cfg(feature = "failpoints")]
pub(crate) fn injected(name: &str, argument: Option<String>) -> std::io::Error {
    if argument.as_deref() == Some("abort") {
        std::process::abort();
    }
    std::io::Error::other(format!("failpoint {name}"))
}

/// The same as SQLite would report it.
#[cfg(feature = "failpoints")]
pub(crate) fn injected_in_sqlite(name: &str, argument: Option<String>) -> rusqlite::Error {
    let error = injected(name, argument);
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR), Some(error.to_string()))
}

/// Leaves the function with an I/O error if a test asks for it; `sqlite` for one that SQLite reports.
macro_rules! failpoint {
    ($name:literal) => {
        fail::fail_point!($name, |argument| Err($crate::failpoints::injected($name, argument).into()));
    };
    ($name:literal, sqlite) => {
        fail::fail_point!($name, |argument| Err($crate::failpoints::injected_in_sqlite($name, argument).into()));
    };
}
pub(crate) use failpoint;
