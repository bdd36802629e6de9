//! Where most scenarios begin: a running service, and a folder for the files that are sent to it and fetched from it.

use crate::commands::Ran;
use crate::launch::Launch;
use crate::service::Service;
use std::path::PathBuf;
use tempfile::TempDir;

pub struct Stage {
    pub folder: TempDir,
    pub service: Service,
}

/// The starter rule with the smallest chunks, one after the other: 64 MiB are a thousand of them and take seconds.
pub const MANY_CHUNKS: &str = r#"
schema = 1

[[rules]]
id = "hello-lines"
from = "uploads"
process = { kind = "lines.prefix", text = "Hello! " }
output = { bucket = "results", key = "{key}" }

[worker]
chunks = 1
chunk_size = "64KiB"
"#;

impl Stage {
    /// With the starter config.
    pub fn open() -> Stage {
        Stage::launch(|_, launch| launch)
    }

    pub fn with_config(config: &str) -> Stage {
        Stage::launch(|folder, launch| {
            let path = folder.path().join("filemill.toml");
            std::fs::write(&path, config).expect("a config");
            launch.arg("--config").arg(path)
        })
    }

    fn launch(prepare: impl FnOnce(&TempDir, Launch) -> Launch) -> Stage {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let service = prepare(&folder, Launch::on(&folder.path().join("data"))).start();
        Stage { folder, service }
    }

    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(&path, content).expect("an input");
        path
    }

    /// A command in this folder that finds the service by itself.
    pub fn filemill(&self, args: &[&str]) -> Ran {
        Ran::with(self.folder.path(), args, |command| {
            command.env("FILEMILL_URL", &self.service.api).env("FILEMILL_DATA", self.data());
        })
    }
}
