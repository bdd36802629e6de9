//! Inputs that went wrong somewhere once, and text of any size that follows from a number.

/// Ordinary text of exactly this many bytes: lines of many lengths, some empty, some from Windows, the last one open.
/// The same seed gives the same bytes.
pub fn text(seed: u64, bytes: usize) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes + 128);
    let mut chance = seed;
    while text.len() < bytes {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (chance >> 58) as usize;
        text.extend_from_slice(format!("{seed:x} {chance:016x} ").as_bytes());
        text.extend_from_slice(&b"abcdefghijklmnopqrstuvwxyz.ABCDEFGHIJKLMNOPQRSTUVWXYZ.0123456789"[..length]);
        text.extend_from_slice(if chance & 0x700_0000 == 0 { b"\r\n\n" } else { b"\n" });
    }
    text.truncate(bytes);
    text
}

/// (what it is, bytes)
pub fn peculiar() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("empty", Vec::new()),
        ("one-newline", b"\n".to_vec()),
        ("blank-lines", b"\n\n\n\n".to_vec()),
        ("no-final-newline", b"first\nlast".to_vec()),
        ("crlf", b"one\r\ntwo\r\n\r\n".to_vec()),
        ("cr-only", b"one\rtwo\rthree\r".to_vec()),
        ("nul", b"a\0b\n\0\n\0\0".to_vec()),
        ("invalid-utf-8", b"\xff\xfe\n\xc3\x28\n\xf0\x9f\n".to_vec()),
        ("utf-16", "zwei\nZeilen".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("byte-order-mark", "\u{feff}with a mark\n".as_bytes().to_vec()),
        ("the-prefix-itself", b"Hello! \nHello! Hello! \n".to_vec()),
        ("one-long-line", vec![b'x'; 2_621_440]),
        ("inline-limit", text(1, 65_536)),
        ("above-inline-limit", text(2, 65_537)),
        ("one-lease-limit", text(3, 1 << 20)),
        ("above-one-lease-limit", text(4, (1 << 20) + 1)),
        ("line-over-chunks", line_over_chunks()),
        ("no-newline-at-all", vec![b'-'; 21 << 20]),
        ("newlines-at-chunk-borders", newlines_around(8 << 20, 17 << 20)),
    ]
}

/// Short lines, then one that begins in the first chunk and ends in the fourth, then short lines.
fn line_over_chunks() -> Vec<u8> {
    let mut bytes = text(5, 5 << 20);
    bytes.resize(25 << 20, b'=');
    bytes.extend_from_slice(b"\r\n\nafter it\n");
    bytes
}

fn newlines_around(border: usize, size: usize) -> Vec<u8> {
    let mut bytes = vec![b'.'; size];
    for multiple in (border..size).step_by(border) {
        bytes[multiple - 2..multiple + 2].copy_from_slice(b"\n\n\n\n");
    }
    bytes
}

/// Names that a file system takes and that break careless clients and servers.
pub const FILE_NAMES: &[&str] = &[
    "plain.txt",
    "with space.txt",
    " leading and trailing ",
    "plus+sign&and=equals.txt",
    "percent%20and%2Fslash.txt",
    "ümlaut é 漢字 🦀.txt",
    "e\u{301} is not é.txt",
    "é is not e\u{301}.txt",
    "quote'\"s`.txt",
    "hash#question?.txt",
    "semi;colon,comma:at@.txt",
    "back\\slash.txt",
    "(round)[square]{curly}<angle>.txt",
    "dollar$tilde~caret^bang!star*.txt",
    "-dash.txt",
    ".hidden",
    "folder/inner folder/file.txt",
    "folder.txt/not-a-file",
    "UPPER.TXT",
    "upper.txt",
];

/// Keys that only an object store takes.
pub fn keys() -> Vec<String> {
    let opaque = [
        "../x",
        "../../etc/passwd",
        "a/../b",
        "a/./b",
        "./c",
        "/absolute",
        "two//slashes",
        "ends/with/slash/",
        "..",
        "%2e%2e/encoded",
        "..\\windows",
        "C:\\windows\\file",
        "line\nbreak",
        "tab\tand\rreturn",
        "\u{1}\u{7f}control",
        "\u{202e}bidi",
        ".tmp",
        ".uploads/1",
        "credentials.json",
        "filemill.db",
    ];
    let names = opaque.iter().chain(FILE_NAMES).map(|key| (*key).to_owned());
    names.chain([longest(), "ü".repeat(512), format!("{}x", "d/".repeat(400)), "s".repeat(300)]).collect()
}

/// 1,024 bytes, as many as a key may have.
fn longest() -> String {
    format!("{}{}", "long/".repeat(200), "k".repeat(24))
}
