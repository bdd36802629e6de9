//! The sources of an archive made in the shell: files below the folder of its manifest, and nothing outside of it.

use filemill_core::ports::{ProcessError, SourceInfo, SourceName, Sources};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

const NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

pub struct FilesBeside {
    folder: PathBuf,
}

impl FilesBeside {
    /// Of a manifest; `-` is read where the command runs.
    pub fn of(manifest: &Path) -> Self {
        let folder = manifest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // a folder that cannot be resolved holds no file that could be found
        FilesBeside { folder: folder.canonicalize().unwrap_or_else(|_| folder.to_owned()) }
    }

    /// `None`: outside of the folder, also by a link that leads there.
    fn path(&self, source: &SourceName) -> Result<Option<PathBuf>, ProcessError> {
        if source.bucket.is_some() {
            let message = format!("{source} is in a bucket, and no service runs here: name a file beside the manifest");
            return Err(ProcessError::input("source_missing", message));
        }
        let relative = Path::new(source.key.as_str());
        if !relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Ok(None);
        }
        match self.folder.join(relative).canonicalize() {
            Ok(path) => Ok(Some(path).filter(|path| path.starts_with(&self.folder))),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }
}

impl Sources for FilesBeside {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        let Some(path) = self.path(source)? else { return Ok(None) };
        let found = std::fs::metadata(path)?;
        Ok(found.is_file().then(|| info(source, &found)))
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        let gone = || ProcessError::input("source_changed", format!("{} was removed while it was read", source.name));
        // a pipe that took the file's place must not hold us up
        let path = self.path(&source.name)?.ok_or_else(gone)?;
        let file = File::options().read(true).custom_flags(NONBLOCK).open(path)?;
        if info(&source.name, &file.metadata()?) != *source {
            let message = format!("{} was changed while it was read", source.name);
            return Err(ProcessError::input("source_changed", message));
        }
        Ok(Box::new(file))
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
