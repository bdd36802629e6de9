//! The container of a zip archive (APPNOTE 6.3.10), written in one go: no seek, zip64 where it is needed.
//!
//! An entry whose content is at hand has its checksum and sizes in front of it, so that readers of streams take it stored
//! too. A long one has them behind it (a data descriptor), which such readers take of deflated data only: long content
//! that is to stay as it is travels in deflate's own stored blocks, at 5 bytes for 64 KiB. That is also why this is not
//! rawzip's writer, which always writes them behind.
//!
//! Time is 1980-01-01, rights are 644 and 755, the flag for UTF-8 is set where a name needs it: nothing of the machine.

use std::io::{self, BufWriter, Write};

const LOCAL: u32 = 0x0403_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END_64: u32 = 0x0606_4b50;
const END_64_LOCATOR: u32 = 0x0706_4b50;
const END: u32 = 0x0605_4b50;

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const SIZES_BEHIND: u16 = 1 << 3;
const UTF8: u16 = 1 << 11;
const ZIP64_FIELD: u16 = 1;
/// 1980-01-01: the first day that the format knows.
const DATE: u16 = (1 << 5) | 1;
const VERSION: u16 = 20;
const VERSION_64: u16 = 45;
/// Unix, so that the rights below are read.
const MADE_BY: u16 = (3 << 8) | VERSION_64;
const FILE_ATTRIBUTES: u32 = 0o100_644 << 16;
const FOLDER_ATTRIBUTES: u32 = (0o040_755 << 16) | 0x10;

/// What stands for a value that is in the zip64 field.
const ELSEWHERE: u32 = u32::MAX;
/// Deflate makes no content longer by more than this and a 4,000th.
const GROWTH: u64 = 4096;

/// Written to the store at a time.
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Store,
    Deflate,
}

/// An entry whose content is at hand.
pub struct Packed {
    pub method: Method,
    pub crc: u32,
    pub size: u64,
    pub bytes: Vec<u8>,
}

pub struct Container<'a> {
    out: BufWriter<&'a mut dyn Write>,
    at: u64,
    /// Of the entries so far, in pieces: one long buffer would be there twice while it grows.
    directory: Vec<Vec<u8>>,
    entries: u64,
}

struct Entry<'n> {
    name: &'n str,
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    size: u64,
    at: u64,
    attributes: u32,
}

/// A long entry under way.
pub struct Open {
    name: String,
    at: u64,
    content_at: u64,
    is_64: bool,
}

impl<'a> Container<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        let out = BufWriter::with_capacity(BUFFER_BYTES, out);
        Container { out, at: 0, directory: Vec::new(), entries: 0 }
    }

    /// `name` without a slash at its end.
    pub fn folder(&mut self, name: &str) -> io::Result<()> {
        let name = format!("{name}/");
        let (attributes, at) = (FOLDER_ATTRIBUTES, self.at);
        let entry = Entry { name: &name, flags: 0, method: STORED, crc: 0, packed: 0, size: 0, at, attributes };
        self.put(&local(&entry, false))?;
        self.list(&entry);
        Ok(())
    }

    pub fn file(&mut self, name: &str, packed: &Packed) -> io::Result<()> {
        let method = match packed.method {
            Method::Store => STORED,
            Method::Deflate => DEFLATED,
        };
        let (attributes, at, bytes) = (FILE_ATTRIBUTES, self.at, packed.bytes.len() as u64);
        let (crc, size) = (packed.crc, packed.size);
        let entry = Entry { name, flags: 0, method, crc, packed: bytes, size, at, attributes };
        self.put(&local(&entry, false))?;
        self.put(&packed.bytes)?;
        self.list(&entry);
        Ok(())
    }

    /// A long file of `size` bytes: its deflated content follows by [`Self::put`].
    pub fn begin(&mut self, name: String, size: u64) -> io::Result<Open> {
        let is_64 = size + size / 4000 + GROWTH >= u64::from(ELSEWHERE);
        let (at, attributes) = (self.at, FILE_ATTRIBUTES);
        let (name_now, flags) = (&name[..], SIZES_BEHIND);
        let entry = Entry { name: name_now, flags, method: DEFLATED, crc: 0, packed: 0, size: 0, at, attributes };
        self.put(&local(&entry, is_64))?;
        Ok(Open { name, at, content_at: self.at, is_64 })
    }

    pub fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub fn end(&mut self, open: &Open, crc: u32, size: u64) -> io::Result<()> {
        let packed = self.at - open.content_at;
        let mut behind = Fields::default().u32(DESCRIPTOR).u32(crc);
        behind = match open.is_64 {
            true => behind.u64(packed).u64(size),
            false => behind.u32(packed as u32).u32(size as u32),
        };
        self.put(&behind.0)?;
        let (name, at, flags) = (&open.name[..], open.at, SIZES_BEHIND);
        self.list(&Entry { name, flags, method: DEFLATED, crc, packed, size, at, attributes: FILE_ATTRIBUTES });
        Ok(())
    }

    fn list(&mut self, entry: &Entry<'_>) {
        let entry = central(entry);
        match self.directory.last_mut().filter(|piece| piece.capacity() - piece.len() >= entry.len()) {
            Some(piece) => piece.extend_from_slice(&entry),
            None => {
                let mut piece = Vec::with_capacity(BUFFER_BYTES.max(entry.len()));
                piece.extend_from_slice(&entry);
                self.directory.push(piece);
            }
        }
        self.entries += 1;
    }

    /// Writes the directory and the end.
    pub fn finish(mut self) -> io::Result<()> {
        let start = self.at;
        for piece in std::mem::take(&mut self.directory) {
            self.put(&piece)?;
        }
        let end = end(self.entries, self.at - start, start);
        self.put(&end)?;
        self.out.flush()
    }
}

fn flags(entry: &Entry<'_>) -> u16 {
    entry.flags | if entry.name.is_ascii() { 0 } else { UTF8 }
}

fn local(entry: &Entry<'_>, is_64: bool) -> Vec<u8> {
    let (packed, size) = if is_64 { (ELSEWHERE, ELSEWHERE) } else { (entry.packed as u32, entry.size as u32) };
    let mut fields = Fields::default().u32(LOCAL).u16(if is_64 { VERSION_64 } else { VERSION }).u16(flags(entry));
    fields = fields.u16(entry.method).u16(0).u16(DATE).u32(entry.crc).u32(packed).u32(size);
    fields = fields.u16(entry.name.len() as u16).u16(if is_64 { 20 } else { 0 }).bytes(entry.name.as_bytes());
    if is_64 {
        fields = fields.u16(ZIP64_FIELD).u16(16).u64(entry.size).u64(entry.packed);
    }
    fields.0
}

fn central(entry: &Entry<'_>) -> Vec<u8> {
    let mut elsewhere = Fields::default();
    let mut here = [0; 3];
    for (here, value) in here.iter_mut().zip([entry.size, entry.packed, entry.at]) {
        *here = u32::try_from(value).unwrap_or(ELSEWHERE);
        if *here == ELSEWHERE {
            elsewhere = elsewhere.u64(value);
        }
    }
    let [size, packed, at] = here;
    let is_64 = !elsewhere.0.is_empty();
    let mut fields = Fields::default().u32(CENTRAL).u16(MADE_BY).u16(if is_64 { VERSION_64 } else { VERSION });
    fields = fields.u16(flags(entry)).u16(entry.method).u16(0).u16(DATE).u32(entry.crc).u32(packed).u32(size);
    fields = fields.u16(entry.name.len() as u16).u16(if is_64 { elsewhere.0.len() as u16 + 4 } else { 0 });
    // no comment, first disk, no text flag
    fields = fields.u16(0).u16(0).u16(0).u32(entry.attributes).u32(at).bytes(entry.name.as_bytes());
    if is_64 {
        fields = fields.u16(ZIP64_FIELD).u16(elsewhere.0.len() as u16).bytes(&elsewhere.0);
    }
    fields.0
}

fn end(entries: u64, bytes: u64, start: u64) -> Vec<u8> {
    let entries_16 = u16::try_from(entries).unwrap_or(u16::MAX);
    let [bytes_32, start_32] = [bytes, start].map(|value| u32::try_from(value).unwrap_or(ELSEWHERE));
    let mut fields = Fields::default();
    if entries_16 == u16::MAX || bytes_32 == ELSEWHERE || start_32 == ELSEWHERE {
        fields = fields.u32(END_64).u64(44).u16(MADE_BY).u16(VERSION_64).u32(0).u32(0);
        fields = fields.u64(entries).u64(entries).u64(bytes).u64(start);
        fields = fields.u32(END_64_LOCATOR).u32(0).u64(start + bytes).u32(1);
    }
    fields = fields.u32(END).u16(0).u16(0).u16(entries_16).u16(entries_16);
    fields.u32(bytes_32).u32(start_32).u16(0).0
}

/// Little-endian, one behind the other.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }
}
