//! How much a counted test does: its own number on each change, the gate's before a release.

/// `FILEMILL_TEST_GATE=1` chooses the gate's.
pub fn trials<T>(each_change: T, gate: T) -> T {
    if std::env::var("FILEMILL_TEST_GATE").is_ok_and(|is_on| is_on == "1") { gate } else { each_change }
}
