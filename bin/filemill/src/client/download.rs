//! Downloads through presigned links: to a temporary name first, then renamed, so that a half file never has the name.

use super::{Answer, Client, answer};
use crate::exit::{BrokenOutput, Ending};
use crate::output;
use anyhow::{Context, Result};
use indicatif::ProgressBar;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;
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
    let bytes = copy(client, url, expected, bar, draft.writer(), |e| anyhow::Error::new(e).context(doing()))?;
    draft.keep().with_context(doing)?;
    Ok(bytes)
}

/// Writes what the link leads to into standard output.
pub fn to_stdout(client: &Client, url: &str, expected: Option<u64>, bar: &ProgressBar) -> Result<u64> {
    copy(client, url, expected, bar, &mut output::raw()?, |e| BrokenOutput(e).into())
}

/// An error if what comes has not the length that was told. `broken` makes the error of an output that takes no more.
fn copy(
    client: &Client,
    url: &str,
    expected: Option<u64>,
    bar: &ProgressBar,
    out: &mut dyn Write,
    broken: impl Fn(io::Error) -> anyhow::Error,
) -> Result<u64> {
    let (body, told) = open(client, url)?;
    let mut body = bar.wrap_read(body);
    let mut buffer = vec![0; filemill_core::limits::IO_BLOCK_BYTES];
    let mut total = 0;
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Ending::failed(format!("the download broke off after {total} bytes: {e}"))),
        };
        out.write_all(&buffer[..read]).map_err(&broken)?;
        total += read as u64;
    }
    out.flush().map_err(broken)?;
    for size in [told, expected].into_iter().flatten() {
        if size != total {
            return Err(Ending::failed(format!("{total} bytes came instead of {size}; try again")));
        }
    }
    Ok(total)
}

/// A file that gets its name when it is complete; dropped before, it is gone. What is no file (a device, a pipe) keeps
/// its name and is written as it comes.
pub enum Draft {
    Beside { file: NamedTempFile, path: PathBuf },
    Into(File),
}

impl Draft {
    pub fn beside(path: &Path) -> Result<Draft> {
        let doing = || format!("cannot write {}", path.display());
        match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                // the file that a link leads to, so that the link stays
                let path = path.canonicalize().with_context(doing)?;
                let permissions = Permissions::from_mode(found.mode() & 0o777);
                let file = temporary_beside(&path, &permissions)?;
                file.as_file().set_permissions(permissions).with_context(doing)?;
                Ok(Draft::Beside { file, path })
            }
            Ok(_) => File::options().write(true).open(path).map(Draft::Into).with_context(doing),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
                // what a plain open would give, less the umask
                let file = temporary_beside(path, &Permissions::from_mode(0o666))?;
                Ok(Draft::Beside { file, path: path.to_owned() })
            }
            Err(e) => Err(e).with_context(doing),
        }
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        match self {
            Draft::Beside { file, .. } => file.as_file_mut(),
            Draft::Into(file) => file,
        }
    }

    pub fn keep(self) -> io::Result<()> {
        match self {
            Draft::Beside { file, path } => file.persist(path).map(drop).map_err(|e| e.error),
            Draft::Into(_) => Ok(()),
        }
    }
}

/// The file is on disk under this name when this returns; one that is there stays.
pub fn name_synced(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|e| e.error)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn temporary_beside(path: &Path, permissions: &Permissions) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let file = builder.prefix(".filemill-").permissions(permissions.clone()).tempfile_in(folder);
    file.with_context(|| format!("cannot write into {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::os::unix::fs::symlink;

    fn write(path: &Path, content: &str) {
        let mut draft = Draft::beside(path).expect("a draft");
        draft.writer().write_all(content.as_bytes()).expect("written");
        draft.keep().expect("kept");
    }

    #[test]
    fn a_full_disk_is_told_of_the_file_and_not_of_standard_output() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a client");
            let head = BufReader::new(&connection).lines().map_while(Result::ok);
            assert!(head.take_while(|line| !line.is_empty()).count() > 0, "a request came");
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").expect("an answer");
        });
        let client = Client::new(&url, None);
        let error = to_file(&client, &url, None, Path::new("/dev/full"), &ProgressBar::hidden()).expect_err("full");
        assert!(format!("{error:#}").starts_with("cannot write /dev/full: No space left"), "{error:#}");
        server.join().expect("the server ends");
    }

    #[test]
    fn a_device_stays_a_device() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("null");
        symlink("/dev/null", &path).expect("a link");
        write(&path, "gone");
        assert_eq!(fs::read_link(&path).expect("still a link"), Path::new("/dev/null"));
        assert_eq!(fs::read(&path).expect("read"), b"");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode_and_its_links() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&path, "old").expect("written");
        fs::set_permissions(&path, Permissions::from_mode(0o622)).expect("its mode");
        symlink("file", &link).expect("a link");
        write(&link, "new");
        assert_eq!(fs::read(&path).expect("read"), b"new");
        assert_eq!(fs::read_link(&link).expect("still a link"), Path::new("file"));
        assert_eq!(fs::metadata(&path).expect("metadata").mode() & 0o777, 0o622);
    }
}
