//! The files of `samples/`, inside the binary, so that the demo runs from anywhere.

macro_rules! samples {
    ($($key:literal),+ $(,)?) => {
        &[$(($key, include_bytes!(concat!("../../../../samples/", $key)))),+]
    };
}

/// (key, content)
pub const ALL: &[(&str, &[u8])] = samples![
    "access.log",
    "windows-report.txt",
    "blank-lines.txt",
    "notes/Überblick 2026 – final.txt",
    "empty.txt",
    "no-final-newline.txt",
    "logs/mixed.log",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(key: &str) -> &'static [u8] {
        ALL.iter().find(|(k, _)| *k == key).map(|(_, bytes)| *bytes).expect(key)
    }

    #[test]
    fn the_samples_are_what_their_names_say() {
        assert!(sample("windows-report.txt").windows(2).any(|w| w == b"\r\n"));
        assert!(sample("blank-lines.txt").windows(2).any(|w| w == b"\n\n"));
        assert!(sample("empty.txt").is_empty());
        assert_ne!(sample("no-final-newline.txt").last(), Some(&b'\n'));
        let mixed = sample("logs/mixed.log");
        assert!(mixed.contains(&0) && std::str::from_utf8(mixed).is_err());
    }
}
