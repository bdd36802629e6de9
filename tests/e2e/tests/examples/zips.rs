//! What is in a zip archive, said by another implementation.

use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Names and contents in the archive's order.
#[track_caller]
pub fn entries(archive: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut zip = ZipArchive::new(Cursor::new(archive)).expect("a zip archive");
    let count = zip.len();
    let read = |index| {
        let mut entry = zip.by_index(index).expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("sound content");
        (entry.name().expect("a name in UTF-8").into_owned(), content)
    };
    (0..count).map(read).collect()
}
