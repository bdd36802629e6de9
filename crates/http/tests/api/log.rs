//! Everything that is logged, at every level, by whichever test: a subscriber of one thread alone would miss what other threads
//! met first.

use std::io::Write;
use std::sync::{LazyLock, Mutex};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

static BEGUN: LazyLock<()> = LazyLock::new(|| {
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(|| Log);
    tracing::subscriber::set_global_default(subscriber.finish()).expect("nobody else sets one");
});

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().expect("a log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on it is kept.
pub fn begin() {
    LazyLock::force(&BEGUN);
}

pub fn text() -> String {
    String::from_utf8(LINES.lock().expect("a log").clone()).expect("text")
}

/// Those that have all of these words.
pub fn lines_with(words: &[&str]) -> usize {
    text().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}
