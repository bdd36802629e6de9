//! How often a scenario is tried: a few times with every change, many times before a release.

/// `FILEMILL_TEST_GATE=1` asks for the number of a release.
pub fn trials<T>(every_change: T, release: T) -> T {
    if std::env::var_os("FILEMILL_TEST_GATE").is_some_and(|v| v == "1") { release } else { every_change }
}
