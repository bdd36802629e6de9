//! The rule for names in an archive, all of it. What comes out can be unpacked on every system, into one folder, without
//! one file hiding another.
//!
//! 1. What is asked for: the destination; one that ends in a slash is a folder, which the source's own name is put into;
//!    without one the source's own name, which is what stands behind the last slash of its key.
//! 2. `\` separates as `/` does. A drive (`C:`) in front, empty segments, `.` and `..` are left out.
//! 3. In a segment, control characters, characters that turn the direction of writing, and `< > : " | ? *` become `_`;
//!    spaces and dots at its end are left out; a name that Windows keeps for itself (`CON`, `nul.txt`) gets `_` in front.
//! 4. A segment has at most 255 bytes; its extension is kept.
//! 5. A name with nothing left is `file`.
//! 6. Names that are equal in Unicode's NFC without regard to case are twins: the later one in the manifest gets ` (2)`,
//!    ` (3)` before its extension. So does a file where a folder is, and a folder where a file is.
//!
//! Names are not normalised: whatever else was asked for is written as it was asked for.

use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;

/// What file systems allow.
const SEGMENT_BYTES_MAX: usize = 255;
/// ` (100000)`: room for the number of a twin.
const NUMBER_BYTES_MAX: usize = 9;
/// A longer one is no extension but a part of the name.
const EXTENSION_BYTES_MAX: usize = 32;
const NAMELESS: &str = "file";
const WINDOWS_KEEPS: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"];
/// With a digit behind.
const WINDOWS_KEEPS_NUMBERED: [&str; 2] = ["COM", "LPT"];

/// Rule 1.
pub fn wanted(destination: Option<&str>, key: &str) -> String {
    match destination.filter(|d| !d.is_empty()) {
        None => own_name(key).to_owned(),
        Some(folder) if folder.ends_with(['/', '\\']) => format!("{folder}{}", own_name(key)),
        Some(path) => path.to_owned(),
    }
}

fn own_name(key: &str) -> &str {
    let key = key.trim_end_matches(['/', '\\']);
    key.rfind(['/', '\\']).map_or(key, |slash| &key[slash + 1..])
}

/// Rules 2 to 5.
pub fn sanitised(path: &str) -> String {
    let mut segments: Vec<&str> = path.split(['/', '\\']).collect();
    let name = segments.pop().map(segment).filter(|name| !name.is_empty() && !is_drive(path));
    let folders = segments.iter().enumerate().filter(|(at, folder)| *at > 0 || !is_drive(folder));
    let mut clean: Vec<String> = folders.map(|(_, folder)| segment(folder)).filter(|s| !s.is_empty()).collect();
    clean.push(name.unwrap_or_else(|| NAMELESS.to_owned()));
    clean.join("/")
}

fn is_drive(segment: &str) -> bool {
    matches!(segment.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

fn segment(raw: &str) -> String {
    let clean: String = raw.chars().map(|c| if is_unfit(c) { '_' } else { c }).collect();
    // `.` and `..` have nothing left
    let clean = clean.trim_end_matches([' ', '.']);
    let kept = if windows_keeps(clean) { format!("_{clean}") } else { clean.to_owned() };
    if kept.len() <= SEGMENT_BYTES_MAX { kept } else { shortened(&kept, SEGMENT_BYTES_MAX) }
}

fn is_unfit(c: char) -> bool {
    let turns_writing =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_line = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || turns_writing || ends_line || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*')
}

fn windows_keeps(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().trim_end().to_uppercase();
    let is_numbered = |name: &&str| {
        let digit = stem.strip_prefix(*name).map(|rest| rest.chars().collect::<Vec<_>>());
        matches!(digit.as_deref(), Some(['0'..='9' | '¹' | '²' | '³']))
    };
    WINDOWS_KEEPS.contains(&stem.as_str()) || WINDOWS_KEEPS_NUMBERED.iter().any(is_numbered)
}

/// Cuts what stands before the extension.
fn shortened(segment: &str, most: usize) -> String {
    let (stem, extension) = split_extension(segment);
    let mut end = most.saturating_sub(extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", stem[..end].trim_end_matches([' ', '.']))
}

/// The extension has its dot.
fn split_extension(segment: &str) -> (&str, &str) {
    match segment.rfind('.') {
        Some(dot) if dot > 0 && segment.len() - dot <= EXTENSION_BYTES_MAX => segment.split_at(dot),
        _ => (segment, ""),
    }
}

/// Equal for paths that some file system takes for the same one: a hash of the folder's and the name. 128 bits: that two
/// of 100,000 names meet by chance is not to be expected, and would only give one of them a number without need.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Folded([u8; 16]);

const ROOT: Folded = Folded([0; 16]);

impl Folded {
    fn join(self, name: &str) -> Folded {
        let name = match name.is_ascii() {
            true => name.to_ascii_lowercase(),
            false => name.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect(),
        };
        let hash: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(name).finalize().into();
        let mut first = [0; 16];
        first.copy_from_slice(&hash[..16]);
        Folded(first)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    File,
    /// There because of what is in it.
    Folder,
    /// With an entry of its own.
    FolderEntry,
}

/// Rule 6, for the names of one archive in the manifest's order.
#[derive(Default)]
pub struct Names {
    taken: HashMap<Folded, Kind>,
    /// The number that the last twin of a name got: 100,000 twins are no work of 100,000 squared.
    numbers: HashMap<(Folded, bool), u32>,
}

impl Names {
    pub fn file(&mut self, sanitised: &str) -> String {
        self.settle(sanitised, Kind::File).unwrap_or_default()
    }

    /// `None` for a folder that has its entry.
    pub fn folder(&mut self, sanitised: &str) -> Option<String> {
        self.settle(sanitised, Kind::FolderEntry)
    }

    fn settle(&mut self, path: &str, kind: Kind) -> Option<String> {
        let (mut parent, mut settled) = (ROOT, String::with_capacity(path.len()));
        let mut segments = path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let kind = if segments.peek().is_some() { Kind::Folder } else { kind };
            let (place, name) = self.free(parent, segment, kind);
            if self.taken.get(&place) == Some(&Kind::FolderEntry) {
                if kind == Kind::FolderEntry {
                    return None;
                }
            } else {
                self.taken.insert(place, kind);
            }
            if !settled.is_empty() {
                settled.push('/');
            }
            settled.push_str(&name);
            parent = place;
        }
        Some(settled)
    }

    /// The name itself, or the first number that is not in its way.
    fn free<'n>(&mut self, parent: Folded, name: &'n str, kind: Kind) -> (Folded, Cow<'n, str>) {
        let place = parent.join(name);
        if self.fits(place, kind) {
            return (place, name.into());
        }
        let is_file = kind == Kind::File;
        let (stem, extension) = if is_file { split_extension(name) } else { (name, "") };
        // one length for all numbers, so that shortened names have their numbers in common
        let stem = shortened(stem, SEGMENT_BYTES_MAX - NUMBER_BYTES_MAX - extension.len());
        let twins = (parent.join(&stem).join(extension), is_file);
        let mut number = *self.numbers.get(&twins).unwrap_or(&2);
        loop {
            let numbered = format!("{stem} ({number}){extension}");
            let place = parent.join(&numbered);
            if self.fits(place, kind) {
                self.numbers.insert(twins, number);
                return (place, numbered.into());
            }
            number += 1;
        }
    }

    fn fits(&self, place: Folded, kind: Kind) -> bool {
        match self.taken.get(&place) {
            None => true,
            Some(Kind::File) => false,
            Some(Kind::Folder | Kind::FolderEntry) => kind != Kind::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_asked_for() {
        for (destination, key, expected) in [
            (None, "a/b/c.txt", "c.txt"),
            (None, "c.txt", "c.txt"),
            (Some(""), "a/c.txt", "c.txt"),
            (None, "a\\c.txt", "c.txt"),
            (None, "a/b/", "b"),
            (None, "//", ""),
            (Some("x/"), "a/c.txt", "x/c.txt"),
            (Some("x\\"), "a/c.txt", "x\\c.txt"),
            (Some("x/y.txt"), "a/c.txt", "x/y.txt"),
            (Some("/"), "a/c.txt", "/c.txt"),
        ] {
            assert_eq!(wanted(destination, key), expected, "{destination:?} {key}");
        }
    }

    #[test]
    fn every_name_can_be_unpacked_into_its_folder() {
        for (path, expected) in [
            ("a/b.txt", "a/b.txt"),
            ("my file.txt", "my file.txt"),
            // out of the folder
            ("../x", "x"),
            ("../../etc/x.txt", "etc/x.txt"),
            ("a/../b", "a/b"),
            ("a/./b", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("//server/share/x", "server/share/x"),
            ("\\\\server\\share\\x", "server/share/x"),
            ("C:\\x.txt", "x.txt"),
            ("c:/x.txt", "x.txt"),
            ("C:x.txt", "C_x.txt"),
            ("C:", "file"),
            ("a\\b", "a/b"),
            ("..\\..\\x", "x"),
            // nothing left
            ("", "file"),
            ("/", "file"),
            ("..", "file"),
            ("...", "file"),
            (" . ", "file"),
            ("a//b", "a/b"),
            ("a/", "a/file"),
            ("a/..", "a/file"),
            // characters
            ("a\0b", "a_b"),
            ("a\nb\tc\x7f", "a_b_c_"),
            ("a\u{85}b", "a_b"),
            ("cod\u{202e}gpj.exe", "cod_gpj.exe"),
            ("\u{2066}a\u{2069}\u{200f}\u{61c}", "_a___"),
            ("a\u{2028}b", "a_b"),
            ("a:b?c*d<e>f|g\"h", "a_b_c_d_e_f_g_h"),
            ("é\u{65e5}\u{1f600}.txt", "é\u{65e5}\u{1f600}.txt"),
            // ends
            ("a. . /b.txt. ", "a/b.txt"),
            ("name.", "name"),
            (" x", " x"),
            (".profile", ".profile"),
            ("..x", "..x"),
            // what Windows keeps
            ("CON", "_CON"),
            ("con.txt", "_con.txt"),
            ("a/NUL /b", "a/_NUL/b"),
            ("aux .tar.gz", "_aux .tar.gz"),
            ("COM1", "_COM1"),
            ("lpt9.txt", "_lpt9.txt"),
            ("COM¹", "_COM¹"),
            ("conout$", "_conout$"),
            ("COM10", "COM10"),
            ("COM", "COM"),
            ("CONSOLE", "CONSOLE"),
            ("PRN.", "_PRN"),
        ] {
            assert_eq!(sanitised(path), expected, "{path:?}");
        }
    }

    #[test]
    fn a_long_segment_is_cut_and_keeps_its_extension() {
        let long = sanitised(&format!("d/{}.tar", "é".repeat(200)));
        assert_eq!(long, format!("d/{}.tar", "é".repeat(125)));
        assert_eq!(sanitised(&"x".repeat(300)), "x".repeat(255));
        assert_eq!(sanitised(&format!("a.{}", "x".repeat(300))).len(), 255);
        assert_eq!(sanitised(&"x".repeat(255)), "x".repeat(255));
    }

    fn settled(paths: &[&str]) -> Vec<String> {
        let mut names = Names::default();
        let settle = |path: &&str| match path.strip_suffix('/') {
            Some(folder) => names.folder(folder).map_or("-".to_owned(), |name| format!("{name}/")),
            None => names.file(path),
        };
        paths.iter().map(settle).collect()
    }

    #[test]
    fn twins_get_numbers_in_the_order_of_the_manifest() {
        for (paths, expected) in [
            (&["a.txt", "a.txt", "a.txt"][..], &["a.txt", "a (2).txt", "a (3).txt"][..]),
            (&["a.txt", "A.TXT"], &["a.txt", "A (2).TXT"]),
            (&["\u{e9}", "e\u{301}", "E\u{301}"], &["\u{e9}", "e\u{301} (2)", "E\u{301} (3)"]),
            (&["straße", "STRASSE"], &["straße", "STRASSE (2)"]),
            (&["a (2)", "a", "a", "a"], &["a (2)", "a", "a (3)", "a (4)"]),
            (&["a", "a", "a (2)"], &["a", "a (2)", "a (2) (2)"]),
            (&["d/a", "e/a", "d/a"], &["d/a", "e/a", "d/a (2)"]),
            (&["D/a", "d/A"], &["D/a", "d/A (2)"]),
            (&[".profile", ".profile"], &[".profile", ".profile (2)"]),
            (&["x.tar.gz", "x.tar.gz"], &["x.tar.gz", "x.tar (2).gz"]),
            // a file and a folder
            (&["a/b", "a"], &["a/b", "a (2)"]),
            (&["a", "a/b", "a/c", "A/b"], &["a", "a (2)/b", "a (2)/c", "A (2)/b (2)"]),
            (&["a.d", "a.d/b"], &["a.d", "a.d (2)/b"]),
            (&["a", "a (2)", "a/b", "a/c"], &["a", "a (2)", "a (3)/b", "a (3)/c"]),
            // folders with entries
            (&["a/", "a/b", "a/", "A/"], &["a/", "a/b", "-", "-"]),
            (&["a/b", "a/", "a/"], &["a/b", "a/", "-"]),
            (&["a", "a/", "a/", "a/x"], &["a", "a (2)/", "-", "a (2)/x"]),
            (&["a/", "a"], &["a/", "a (2)"]),
        ] {
            assert_eq!(settled(paths), expected, "{paths:?}");
        }
    }

    #[test]
    fn numbers_stay_within_the_length_of_a_segment() {
        let long = "x".repeat(251) + ".txt";
        let found = settled(&[&long, &long]);
        assert_eq!(found[1], format!("{} (2).txt", "x".repeat(242)));
    }

    /// Squared, these would take minutes.
    #[test]
    fn a_hundred_thousand_twins_are_settled_at_once() {
        let mut names = Names::default();
        let files: HashSet<String> = (0..50_000).map(|_| names.file("a.txt")).collect();
        assert_eq!(files.len(), 50_000);
        let folders: HashSet<String> = (0..50_000).map(|n| names.file(&format!("a.txt/{n}"))).collect();
        assert_eq!(folders.len(), 50_000);
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_names_are_safe_and_apart(
            asked in proptest::collection::vec("[aA./\\\\: é\u{301}(2)\u{0}-\u{2}]{0,8}", 1..40),
        ) {
            let mut names = Names::default();
            let mut seen = HashSet::new();
            for path in asked {
                let name = names.file(&sanitised(&path));
                for part in name.split('/') {
                    prop_assert!(!part.is_empty() && part != "." && part != "..", "{:?}", name);
                    prop_assert!(!part.ends_with(['.', ' ']) && !part.contains(['\\', ':', '\0']), "{:?}", name);
                }
                prop_assert_eq!(sanitised(&name), name.clone());
                let fold: String = name.nfd().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfc().collect();
                prop_assert!(seen.insert(fold), "{:?} twice", name);
            }
            for name in &seen {
                let inside = format!("{name}/");
                prop_assert!(!seen.iter().any(|other| other.starts_with(&inside)), "{:?} is a file and a folder", name);
            }
        }
    }
}
