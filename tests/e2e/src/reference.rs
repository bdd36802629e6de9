//! What a result must be, said by others: GNU sed, and for the thousands of small ones a few lines that sed agrees with.

use std::io::Write;
use std::process::{Command, Stdio};

/// The text that the starter rule puts before each line.
pub const PREFIX: &[u8] = b"Hello! ";

/// `sed 's/^/Hello! /'` on these bytes.
pub fn sed(input: &[u8]) -> Vec<u8> {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(input).expect("writing a temporary file");
    let mut sed = Command::new("sed");
    sed.arg("s/^/Hello! /").arg(file.path()).env("LC_ALL", "C").stderr(Stdio::inherit());
    let output = sed.output().expect("sed runs");
    assert!(output.status.success(), "sed failed");
    output.stdout
}

/// The same in the plainest way.
pub fn prefixed(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len() * 2);
    for line in input.split_inclusive(|b| *b == b'\n') {
        output.extend_from_slice(PREFIX);
        output.extend_from_slice(line);
    }
    output
}

#[track_caller]
pub fn assert_same(what: &str, actual: &[u8], expected: &[u8]) {
    if actual == expected {
        return;
    }
    let same = actual.iter().zip(expected).take_while(|(a, b)| a == b).count();
    let around = |bytes: &[u8]| String::from_utf8_lossy(&bytes[same..bytes.len().min(same + 40)]).into_owned();
    panic!(
        "{what}: {} bytes instead of {}, the first other one at {same}: {:?} instead of {:?}",
        actual.len(),
        expected.len(),
        around(actual),
        around(expected)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_reference_agrees_with_sed() {
        for input in [&b""[..], b"\n", b"a", b"a\n\nb\r\n", b"\r\0\n\n", b"\xff\xfe\n\xc3", b"one\rtwo\n"] {
            assert_same("the reference", &prefixed(input), &sed(input));
        }
    }
}
