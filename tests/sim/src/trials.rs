//! How much a counted test does: little with every change, much before a release. `tests/e2e` says the same in its own
//! words, because it knows none of our crates.

/// `FILEMILL_TEST_GATE=1` asks for the number of a release.
pub fn trials<T>(every_change: T, release: T) -> T {
    if std::env::var_os("FILEMILL_TEST_GATE").is_some_and(|v| v == "1") { release } else { every_change }
}
