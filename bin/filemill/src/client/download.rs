//! Downloads through presigned links: to a temporary name first, then renamed, so that a half file never has the name.

use super::{Answer, Client, answer};
use crate::exit::Ending;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::io::{self, Read, Write};
use std::path::Path;
use ureq::http::StatusCode;

/// Opens the link; the bytes and how many there must be. A body that ends early is an error when read.
pub fn open(client: &Client, url: &str) -> Result<(impl Read + use<>, Option<u64>)> {
    match answer(client.agent().get(url).call()) {
        Ok(Answer::Ok(response)) => {
            let size = response.body().content_length();
            Ok((response.into_body().into_reader(), size))
        }
        Ok(Answer::Refused { status: StatusCode::NOT_FOUND, detail }) => Err(Ending::not_found(detail)),
        Ok(Answer::Refused { detail, .. }) => Err(Ending::failed(format!("the download failed: {detail}"))),
        Err(e) => Err(Ending::unreachable(format!("cannot reach the object store: {e}"))),
    }
}

/// Writes what the link leads to into `path`. Answers the bytes written.
pub fn to_file(client: &Client, url: &str, expected: Option<u64>, path: &Path, bar: &ProgressBar) -> Result<u64> {
    let doing = || format!("cannot write {}", path.display());
    let mut draft = Draft::beside(path)?;
    let bytes = to_writer(client, url, expected, draft.writer(), bar)?;
    draft.keep().with_context(doing)?;
    Ok(bytes)
}

/// Writes what the link leads to; an error if it has not the length that was told.
pub fn to_writer(
    client: &Client,
    url: &str,
    expected: Option<u64>,
    out: &mut dyn Write,
    bar: &ProgressBar,
) -> Result<u64> {
    let (body, told) = open(client, url)?;
    let mut body = bar.wrap_read(body);
    let bytes = copy(&mut body, out)?;
    for size in [told, expected].into_iter().flatten() {
        if size != bytes {
            return Err(Ending::failed(format!("{bytes} bytes came instead of {size}; try again")));
        }
    }
    Ok(bytes)
}

/// Like `io::copy`, but an error says on which side it happened.
fn copy(input: &mut impl Read, out: &mut dyn Write) -> Result<u64> {
    let mut buffer = vec![0; filemill_core::limits::IO_BLOCK_BYTES];
    let mut total = 0;
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Ending::failed(format!("the download broke off after {total} bytes: {e}"))),
        };
        out.write_all(&buffer[..read]).map_err(crate::exit::BrokenOutput)?;
        total += read as u64;
    }
    out.flush().map_err(crate::exit::BrokenOutput)?;
    Ok(total)
}

/// A file that gets its name when it is complete; dropped before, it is gone.
pub struct Draft<'a> {
    file: tempfile::NamedTempFile,
    path: &'a Path,
}

impl<'a> Draft<'a> {
    pub fn beside(path: &'a Path) -> Result<Draft<'a>> {
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        // what a plain open would give, less the umask
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        builder.prefix(".filemill-").permissions(permissions);
        let file = builder.tempfile_in(folder).with_context(|| format!("cannot write into {}", folder.display()))?;
        Ok(Draft { file, path })
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        self.file.as_file_mut()
    }

    pub fn keep(self) -> io::Result<()> {
        self.file.persist(self.path).map(drop).map_err(|e| e.error)
    }
}
