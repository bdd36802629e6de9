//! The admin token, the S3 key pair and the master key: made at first start, the first two or taken from the environment.
//!
//! `DIR/credentials.json` (mode 0600) always says what the service uses, so that the client commands on the same
//! machine find it. It appears whole or not at all, and a start that does not get the folder leaves it as it is.

use crate::exit::Ending;
use anyhow::{Context, Result};
use filemill_engine::MasterKey;
use rand::TryRngCore;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

pub const FILE_NAME: &str = "credentials.json";
pub const ADMIN_TOKEN_VAR: &str = "FILEMILL_ADMIN_TOKEN";
pub const S3_KEY_VAR: &str = "FILEMILL_S3_ACCESS_KEY_ID";
pub const S3_SECRET_VAR: &str = "FILEMILL_S3_SECRET_ACCESS_KEY";

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub admin_token: String,
    pub s3_access_key_id: String,
    pub s3_secret_access_key: String,
    /// What the S3 secrets of keys are made from, 256 bits in hexadecimal. A start of an older version left none; empty
    /// only until [`choose`] has made one.
    #[serde(default)]
    pub master_key: String,
}

impl Credentials {
    pub fn master_key(&self) -> Result<MasterKey> {
        let bytes: Option<[u8; 32]> = hex::decode(&self.master_key).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(MasterKey).context("the master_key of credentials.json is not 64 hexadecimal digits")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// What the environment gives.
#[derive(Default)]
pub struct Given {
    pub admin_token: Option<String>,
    pub s3_access_key_id: Option<String>,
    pub s3_secret_access_key: Option<String>,
}

impl Given {
    pub fn from_env() -> Given {
        let var = |name| std::env::var(name).ok();
        Given {
            admin_token: var(ADMIN_TOKEN_VAR),
            s3_access_key_id: var(S3_KEY_VAR),
            s3_secret_access_key: var(S3_SECRET_VAR),
        }
    }

    fn over(&self, base: Credentials) -> Credentials {
        let or = |given: &Option<String>, base: String| given.clone().unwrap_or(base);
        Credentials {
            admin_token: or(&self.admin_token, base.admin_token),
            s3_access_key_id: or(&self.s3_access_key_id, base.s3_access_key_id),
            s3_secret_access_key: or(&self.s3_secret_access_key, base.s3_secret_access_key),
            master_key: base.master_key,
        }
    }

    /// An empty or tiny secret would be an open door.
    fn check(&self) -> Result<()> {
        let rules = [(ADMIN_TOKEN_VAR, &self.admin_token, 8), (S3_KEY_VAR, &self.s3_access_key_id, 3)];
        let rules = rules.into_iter().chain([(S3_SECRET_VAR, &self.s3_secret_access_key, 8)]);
        for (name, value, least) in rules {
            let Some(value) = value else { continue };
            let printable = value.bytes().all(|b| b.is_ascii_graphic());
            if !(least..=256).contains(&value.len()) || !printable {
                return Err(Ending::usage(format!(
                    "{name} is set but unusable: give {least} to 256 printable ASCII characters without spaces"
                )));
            }
        }
        if self.s3_access_key_id.as_ref().is_some_and(|id| id.contains('/')) {
            return Err(Ending::usage(format!("{S3_KEY_VAR} must not contain a slash")));
        }
        Ok(())
    }
}

pub fn path_in(data: &Path) -> PathBuf {
    data.join(FILE_NAME)
}

/// What an earlier start left in `data`; `None` if nothing did.
pub fn read(data: &Path) -> Result<Option<Credentials>> {
    let path = path_in(data);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
    };
    // serde's message may quote what it read, so it is not passed on
    let credentials = serde_json::from_str(&text).map_err(|_| {
        anyhow::anyhow!("{} does not hold credentials; move it away and start again to make new ones", path.display())
    })?;
    Ok(Some(credentials))
}

/// What this start is to use: what is stored, or made up at first start, with the environment's over it. Nothing is
/// stored yet, because another service may hold the folder.
pub fn choose(data: &Path, given: &Given) -> Result<Credentials> {
    given.check()?;
    private_folder(data)?;
    let mut chosen = given.over(read(data)?.map_or_else(random, Ok)?);
    if chosen.master_key.is_empty() {
        chosen.master_key = random_key()?;
    }
    Ok(chosen)
}

/// Makes the file say what this service uses. Only for who holds the folder.
pub fn keep(data: &Path, credentials: &Credentials) -> Result<()> {
    let path = path_in(data);
    match read(data)? {
        Some(stored) if stored == *credentials => warn_if_readable_by_others(&path),
        stored => {
            write(data, credentials)?;
            let what = match stored {
                None => "credentials created",
                Some(stored) if stored.master_key.is_empty() => "a master key was added to the credentials",
                Some(_) => "credentials changed by the environment",
            };
            tracing::info!(path = %path.display(), "{what}");
        }
    }
    Ok(())
}

/// Makes the folder, or makes sure that nobody else could have prepared the one that is there.
fn private_folder(data: &Path) -> Result<()> {
    let doing = || format!("cannot create the data folder {}", data.display());
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).with_context(doing)?;
    let found = std::fs::metadata(data).with_context(doing)?;
    match objection(found.uid(), found.mode(), rustix::process::geteuid().as_raw()) {
        Some(why) => Err(Ending::failed(format!("the data folder {} {why}", data.display()))),
        None => Ok(()),
    }
}

/// Why a folder cannot be trusted: whoever may write into it may put credentials there that they know.
fn objection(owner: u32, mode: u32, user: u32) -> Option<&'static str> {
    const ROOT: u32 = 0;
    if user != ROOT && user != owner {
        return Some("belongs to another user; start as its owner, or give a folder that does not exist yet");
    }
    (mode & 0o022 != 0).then_some("can be written by others; run chmod go-w on it, if they left nothing in it")
}

/// A temporary file (created exclusively, mode 0600), synced, then named, then the name synced.
fn write(data: &Path, credentials: &Credentials) -> Result<()> {
    let path = path_in(data);
    let doing = || format!("cannot write {}", path.display());
    let mut file = tempfile::Builder::new().prefix(".credentials").tempfile_in(data).with_context(doing)?;
    serde_json::to_writer_pretty(&mut file, credentials).with_context(doing)?;
    file.write_all(b"\n").with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;
    file.persist(&path).map_err(|e| e.error).with_context(doing)?;
    File::open(data).and_then(|folder| folder.sync_all()).with_context(doing)
}

fn warn_if_readable_by_others(path: &Path) {
    let mode = std::fs::metadata(path).map(|m| m.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "credentials are readable by other users; run chmod 600 on the file");
    }
}

fn random() -> Result<Credentials> {
    Ok(Credentials {
        admin_token: random_text(43)?,
        s3_access_key_id: format!("FM{}", random_text(18)?.replace(['-', '_'], "0").to_uppercase()),
        s3_secret_access_key: random_text(40)?,
        master_key: random_key()?,
    })
}

fn random_key() -> Result<String> {
    random_bytes(32).map(hex::encode)
}

/// Six bits of the operating system's chance per character; nothing in it needs quoting in a URL or a shell.
fn random_text(chars: usize) -> Result<String> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    Ok(random_bytes(chars)?.into_iter().map(|b| char::from(ALPHABET[usize::from(b & 63)])).collect())
}

fn random_bytes(count: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).context("the operating system gives no random bytes")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;

    fn open(data: &Path, given: &Given) -> Result<Credentials> {
        let chosen = choose(data, given)?;
        keep(data, &chosen)?;
        Ok(chosen)
    }

    #[test]
    fn the_first_start_makes_a_private_file_and_later_ones_keep_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let data = folder.path().join("new/data");
        let first = open(&data, &Given::default()).expect("first start");
        let mode = std::fs::metadata(path_in(&data)).expect("the file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let second = open(&data, &Given::default()).expect("second start");
        assert!(first == second, "credentials changed");
        let names: Vec<_> = std::fs::read_dir(&data).expect("list").map(|e| e.expect("entry").file_name()).collect();
        assert_eq!(names, [FILE_NAME], "no temporary file is left");
    }

    #[test]
    fn a_folder_that_others_can_write_is_refused_before_its_credentials_are_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(path_in(folder.path()), "prepared").expect("write");
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).expect("its mode");
            let error = open(folder.path(), &Given::default()).expect_err("refused");
            assert!(error.to_string().contains("chmod go-w"), "{mode:o}: {error}");
        }
    }

    #[test]
    fn only_root_may_use_the_folder_of_another_user() {
        let refused = |owner, user| objection(owner, 0o40755, user).is_some();
        assert_eq!([refused(7, 7), refused(7, 8), refused(0, 8), refused(7, 0)], [false, true, true, false]);
    }

    #[test]
    fn the_file_is_json_with_the_documented_names() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = open(folder.path(), &Given::default()).expect("open");
        let text = std::fs::read_to_string(path_in(folder.path())).expect("read");
        let json: serde_json::Value = serde_json::from_str(&text).expect("json");
        assert_eq!(json["admin_token"], made.admin_token.as_str());
        assert_eq!(json["s3_access_key_id"].as_str().map(str::len), Some(20));
        assert_eq!(json["s3_secret_access_key"].as_str().map(str::len), Some(40));
    }

    #[test]
    fn two_starts_make_different_secrets() {
        let (a, b) = (random().expect("random"), random().expect("random"));
        assert!(a.admin_token != b.admin_token && a.s3_secret_access_key != b.s3_secret_access_key);
    }

    #[test]
    fn the_environment_wins_and_the_file_follows() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = open(folder.path(), &Given::default()).expect("open");
        let given = Given { admin_token: Some("given-by-hand".into()), ..Given::default() };
        let second = open(folder.path(), &given).expect("open");
        assert_eq!(second.admin_token, "given-by-hand");
        assert_eq!(second.s3_access_key_id, first.s3_access_key_id);
        assert!(read(folder.path()).expect("read") == Some(second));
    }

    #[test]
    fn a_file_of_an_older_version_gets_a_master_key_and_keeps_the_rest() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let old = r#"{"admin_token": "token-of-old", "s3_access_key_id": "ID", "s3_secret_access_key": "secret"}"#;
        std::fs::write(path_in(folder.path()), old).expect("write");
        let first = open(folder.path(), &Given::default()).expect("open");
        assert_eq!((first.admin_token.as_str(), first.s3_secret_access_key.as_str()), ("token-of-old", "secret"));
        assert!(first.master_key().is_ok());
        assert!(open(folder.path(), &Given::default()).expect("again") == first);
    }

    #[test]
    fn an_empty_token_is_no_open_door() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for bad in ["", "short", "with space in it", "line\nbreak-in-it"] {
            let given = Given { admin_token: Some(bad.into()), ..Given::default() };
            assert!(open(folder.path(), &given).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_that_tells_no_secret() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(path_in(folder.path()), "{\"admin_token\": 123456789}").expect("write");
        let error = format!("{:#}", open(folder.path(), &Given::default()).expect_err("broken"));
        assert!(error.contains("credentials.json") && !error.contains("123456789"), "{error}");
    }
}
