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
    fn every_file_of_the_folder_is_in_the_binary() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
        let mut found = Vec::new();
        let mut folders = vec![folder.clone()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).expect("samples") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let key = path.strip_prefix(&folder).expect("inside").to_str().expect("UTF-8").to_owned();
                    found.extend(Some(key).filter(|k| k != ".gitattributes"));
                }
            }
        }
        found.sort();
        let mut listed: Vec<&str> = ALL.iter().map(|(key, _)| *key).collect();
        listed.sort();
        assert_eq!(found, listed);
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
