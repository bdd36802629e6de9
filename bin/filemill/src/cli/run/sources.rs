//! The sources of an archive made in the shell: files below the folder of its manifest, and nothing outside of it.

use filemill_core::ports::{ProcessError, SourceInfo, SourceName, Sources};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

pub struct FilesBeside {
    folder: PathBuf,
}

impl FilesBeside {
    /// Of a manifest; `-` is read where the command runs.
    pub fn of(manifest: &Path) -> Self {
        let folder = manifest.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        FilesBeside { folder: folder.to_owned() }
    }

    fn path(&self, source: &SourceName) -> Result<PathBuf, ProcessError> {
        if source.bucket.is_some() {
            let message = format!("{source} is in a bucket, and no service runs here: name a file beside the manifest");
            return Err(ProcessError::input("source_missing", message));
        }
        let relative = Path::new(source.key.as_str());
        if relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Ok(self.folder.join(relative));
        }
        let message = format!("{source} is outside of the manifest's folder, which is as far as this reads");
        Err(ProcessError::input("source_missing", message))
    }
}

impl Sources for FilesBeside {
    fn find(&self, source: &SourceName) -> Result<Option<SourceInfo>, ProcessError> {
        match std::fs::metadata(self.path(source)?) {
            Ok(found) if found.is_file() => Ok(Some(info(source, &found))),
            Ok(_) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn open(&self, source: &SourceInfo) -> Result<Box<dyn Read + Send>, ProcessError> {
        let file = File::open(self.path(&source.name)?)?;
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
        for outside in ["../outside", "/etc/passwd", "sub/../../outside", "s3://uploads/a"] {
            assert!(find(outside).is_err(), "{outside}");
        }
        std::fs::write(folder.path().join("in/sub/a"), "changed").expect("written");
        assert!(sources.open(&found).is_err());
    }
}
