//! The sources of an archive made in the shell: files below the folder of its manifest, and nothing outside of it.

use filemill_core::ports::{ProcessError, SourceInfo, SourceName, Sources};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Holds the folder open: whatever becomes of its name, nothing outside of it is found.
pub struct FilesBeside {
    folder: io::Result<File>,
}

impl FilesBeside {
    /// Of a manifest; `-` is read where the command runs.
    pub fn of(manifest: &Path) -> Self {
        let folder = manifest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::empty());
        FilesBeside { folder: folder.map(File::from).map_err(io::Error::from) }
    }

    /// `None`: not there, or outside of the folder, also by a link that leads there: the kernel follows none.
    fn open_beneath(&self, source: &SourceName, flags: OFlags) -> Result<Option<File>, ProcessError> {
        if source.bucket.is_some() {
            let message = format!("{source} is in a bucket, and no service runs here: name a file beside the manifest");
            return Err(ProcessError::input("source_missing", message));
        }
        let folder = self.folder.as_ref().map_err(|e| io::Error::new(e.kind(), e.to_string()))?;
        let flags = flags | OFlags::CLOEXEC;
        match openat2(folder, source.key.as_str(), flags, Mode::empty(), ResolveFlags::BENEATH) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => Ok(None),
            Err(e) => Err(io::Error::from(e).into()),
        }
    }
}

impl Sources for FilesBeside {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let Some(file) = self.open_beneath(source, OFlags::PATH)? else { return Ok(None) };
        let found = file.metadata()?;
        Ok(found.is_file().then(|| info(source, &found)))
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        // a pipe that took the file's place must not hold us up
        let file = self.open_beneath(&source.name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let found = file.as_ref().map(File::metadata).transpose()?;
        match file {
            Some(file) if found.is_some_and(|found| info(&source.name, &found) == *source) => Ok(Box::new(file)),
            _ => {
                let message = format!("{} was changed while it was read", source.name);
                Err(ProcessError::input("source_changed", message))
            }
        }
    }

    fn input_link(&self) -> Result<String, ProcessError> {
        let message = "this processor sends a link to the file, which only a running service can give";
        Err(ProcessError::input("no_link", message))
    }
}

fn info(name: &SourceName, found: &Metadata) -> SourceInfo {
    let etag = format!("{}-{}-{}.{}", found.dev(), found.ino(), found.mtime(), found.mtime_nsec());
    SourceInfo { name: name.clone(), size: found.len(), etag }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_the_manifest_are_found_and_no_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir_all(folder.path().join("in/sub")).expect("folders");
        std::fs::write(folder.path().join("outside"), "x").expect("written");
        std::fs::write(folder.path().join("in/sub/a"), "abc").expect("written");
        let sources = FilesBeside::of(&folder.path().join("in/manifest.json"));
        let find = |text: &str| sources.find(&SourceName::parse(text).expect("a name"));
        let found = find("sub/a").expect("found").expect("it is there");
        assert_eq!(found.size, 3);
        assert!(find("sub").expect("a folder is no file").is_none());
        assert!(find("sub/b").expect("nothing").is_none());
        std::os::unix::fs::symlink("../outside", folder.path().join("in/link")).expect("a link");
        std::os::unix::fs::symlink("/etc", folder.path().join("in/etc")).expect("a link");
        for outside in ["../outside", "/etc/passwd", "sub/../../outside", "link", "etc/passwd"] {
            assert_eq!(find(outside).expect("an answer"), None, "{outside}");
        }
        assert!(sources.find(&SourceName::parse("s3://uploads/a").expect("a name")).is_err());
        std::fs::write(folder.path().join("in/sub/a"), "changed").expect("written");
        assert!(sources.open(&found).is_err());
    }
}
