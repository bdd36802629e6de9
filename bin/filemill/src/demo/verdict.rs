//! Whether a job's result and its rejects are exactly right, as a client sees them: by presigned links.

use super::reference::{self, Prefixed};
use super::samples::{Expected, Right};
use crate::client::source::Source;
use crate::client::views::Job;
use crate::client::{Client, download, segment};
use crate::exit::Ending;
use anyhow::{Context, Result};
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use rawzip::{CompressionMethod, ZipArchive};
use std::io::Read;

/// The starter rule's text.
const PREFIX: &[u8] = b"Hello! ";
/// The samples' archive is smaller.
const ARCHIVE_BYTES_MAX: u64 = 1 << 20;

/// A job that has ended, and whether its result is the right one.
pub struct Shown {
    pub job: Job,
    pub link: Option<String>,
    /// What is wrong.
    pub fault: Option<String>,
}

pub fn judged(client: &Client, source: &dyn Source, expected: &Expected, job: Job) -> Shown {
    if !job.is_completed() {
        let fault = Some(job.reason());
        return Shown { job, link: None, fault };
    }
    let check = || {
        let link = link(client, &job, "result")?;
        let (result, _) = download::open(client, &link)?;
        check_result(&expected.right, source, result)?;
        check_rejects(client, expected.rejects, &job)?;
        Ok::<_, anyhow::Error>(link)
    };
    match check() {
        Ok(link) => Shown { job, link: Some(link), fault: None },
        Err(e) => Shown { job, link: None, fault: Some(format!("{e:#}")) },
    }
}

fn link(client: &Client, job: &Job, what: &str) -> Result<String> {
    client.link(&format!("/v1/jobs/{}/{what}", segment(&job.id)))
}

fn check_rejects(client: &Client, mut expected: &[u8], job: &Job) -> Result<()> {
    match (expected.is_empty(), job.rejects) {
        (true, 0) => return Ok(()),
        (true, rejects) => return Err(Ending::failed(format!("{rejects} records were set aside"))),
        (false, 0) => return Err(Ending::failed("no record was set aside")),
        (false, _) => {}
    }
    let (rejects, _) = download::open(client, &link(client, job, "rejects")?)?;
    reference::compare(&mut expected, rejects).context("its rejects")?;
    Ok(())
}

fn check_result(right: &Right, source: &dyn Source, result: impl Read) -> Result<()> {
    match *right {
        Right::Prefixed => reference::compare(&mut Prefixed::new(source.open(0..source.size()), PREFIX), result),
        Right::Bytes(mut right) => reference::compare(&mut right, result),
        Right::Gzip(mut right) => reference::compare(&mut right, MultiGzDecoder::new(result)),
        Right::Zstd(mut right) => reference::compare(&mut right, zstd::Decoder::new(result)?),
        Right::Zip(entries) => return check_archive(entries, result),
    }?;
    Ok(())
}

fn check_archive(right: &[(&str, &[u8])], result: impl Read) -> Result<()> {
    let mut bytes = Vec::new();
    result.take(ARCHIVE_BYTES_MAX).read_to_end(&mut bytes).context("reading the result")?;
    let entries = unpacked(&bytes).context("reading the archive")?;
    let names = |entries: Vec<&str>| entries.join(", ");
    let (found, wanted) = (entries.iter().map(|(n, _)| &**n).collect(), right.iter().map(|(n, _)| *n).collect());
    if found != wanted {
        return Err(Ending::failed(format!("the archive holds {} instead of {}", names(found), names(wanted))));
    }
    match entries.iter().zip(right).find(|((_, content), (_, right))| content != right) {
        Some(((name, _), _)) => Err(Ending::failed(format!("{name} in the archive differs"))),
        None => Ok(()),
    }
}

/// Names and contents, each with its length and checksum verified.
fn unpacked(archive: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let archive = ZipArchive::from_slice(archive)?;
    let (mut entries, mut unpacked) = (archive.entries(), Vec::new());
    while let Some(entry) = entries.next_entry()? {
        let name = String::from_utf8(entry.file_path().as_ref().to_vec())?;
        let packed = archive.get_entry(entry.wayfinder())?;
        let plain: Box<dyn Read> = match entry.compression_method() {
            CompressionMethod::STORE => Box::new(packed.data()),
            _ => Box::new(DeflateDecoder::new(packed.data())),
        };
        let mut content = Vec::new();
        packed.verifying_reader(plain).take(ARCHIVE_BYTES_MAX).read_to_end(&mut content)?;
        unpacked.push((name, content));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn fault(right: Right, result: &[u8]) -> Option<String> {
        let source: &'static [u8] = b"a\nb";
        check_result(&right, &source, result).err().map(|e| format!("{e:#}"))
    }

    #[test]
    fn what_is_packed_is_compared_unpacked() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"text").expect("memory");
        let gzip = gzip.finish().expect("memory");
        let zstd = zstd::encode_all(&b"text"[..], 1).expect("memory");
        assert_eq!(fault(Right::Gzip(b"text"), &gzip), None);
        assert_eq!(fault(Right::Zstd(b"text"), &zstd), None);
        assert_eq!(fault(Right::Bytes(b"text"), b"text"), None);
        assert_eq!(fault(Right::Prefixed, b"Hello! a\nHello! b"), None);
        for wrong in [
            fault(Right::Gzip(b"test"), &gzip),
            fault(Right::Gzip(b"text"), &gzip[..gzip.len() - 1]),
            fault(Right::Zstd(b"test"), &zstd),
            fault(Right::Zstd(b"text"), &zstd[..zstd.len() - 1]),
            fault(Right::Bytes(b"text"), b"test"),
            fault(Right::Prefixed, b"Hello! a\nb"),
        ] {
            assert!(wrong.is_some());
        }
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut archive = rawzip::ZipArchiveWriter::new(&mut out);
        for (name, content) in entries {
            let file = archive.new_file(name).compression_method(CompressionMethod::DEFLATE);
            let (mut entry, config) = file.start().expect("an entry");
            let deflate = flate2::write::DeflateEncoder::new(&mut entry, flate2::Compression::fast());
            let mut writer = config.wrap(deflate);
            writer.write_all(content).expect("memory");
            let (deflate, descriptor) = writer.finish().expect("memory");
            deflate.finish().expect("memory");
            entry.finish(descriptor).expect("memory");
        }
        archive.finish().expect("memory");
        out
    }

    #[test]
    fn an_archive_must_hold_the_right_files_and_no_others() {
        const RIGHT: &[(&str, &[u8])] = &[("a/é", b"one"), ("b", b"")];
        assert_eq!(fault(Right::Zip(RIGHT), &archive(RIGHT)), None);
        for (wrong, says) in [
            (archive(&RIGHT[..1]), "holds a/é instead of a/é, b"),
            (archive(&[RIGHT[0], ("c", b"")]), "holds a/é, c instead"),
            (archive(&[("a/é", b"0ne"), RIGHT[1]]), "a/é in the archive differs"),
            (b"PK".to_vec(), "reading the archive"),
        ] {
            let fault = fault(Right::Zip(RIGHT), &wrong).expect("a fault");
            assert!(fault.contains(says), "{fault}");
        }
    }
}
