//! Where most scenarios begin: a running service, and a folder for the files that are sent to it and fetched from it.

use crate::commands::Ran;
use crate::launch::Launch;
use crate::service::Service;
use std::path::PathBuf;
use tempfile::TempDir;

pub struct Stage {
    /// Ends before its folder goes.
    pub service: Service,
    pub folder: TempDir,
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

const CONFIG: &str = "filemill.toml";

impl Stage {
    /// With the starter config.
    pub fn open() -> Stage {
        Stage::on(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn with_config(config: &str) -> Stage {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join(CONFIG), config).expect("a config");
        Stage::on(folder)
    }

    /// With what an earlier service left in this folder.
    pub fn on(folder: TempDir) -> Stage {
        let mut launch = Launch::on(&folder.path().join("data"));
        let config = folder.path().join(CONFIG);
        if config.exists() {
            launch = launch.arg("--config").arg(config);
        }
        Stage { service: launch.start(), folder }
    }

    /// Stopped and started again.
    pub fn restarted(self) -> Stage {
        self.service.stop();
        Stage::on(self.folder)
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
