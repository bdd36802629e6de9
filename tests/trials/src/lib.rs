//! How much a counted test does: little with every change, much before a release. One switch for all rooms, so that
//! `.ci/gate` turns all of them.

/// `FILEMILL_TEST_GATE=1` asks for the number of a release.
pub fn trials<T>(every_change: T, release: T) -> T {
    if std::env::var_os("FILEMILL_TEST_GATE").is_some_and(|v| v == "1") { release } else { every_change }
}

/// A trial's result in its log, where `.ci/gate` reads it.
pub fn tell(result: std::fmt::Arguments<'_>) {
    eprintln!("{result}");
}
