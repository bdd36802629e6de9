//! What an operator writes below `[processors.NAME]`, with its defaults.
//!
//! Values of headers may be secrets: nothing here shows them.

use filemill_core::size::ByteSize;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Either `exec = { ... }` or `http = { ... }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Definition {
    Exec(Exec),
    Http(Http),
}

/// A command: the input on its stdin, the output on its stdout.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exec {
    /// The program, by its full path, and its arguments. No shell reads them.
    pub argv: Vec<String>,
    #[serde(default)]
    pub per: Per,
    /// The operator's word that lines may be given to several runs of the command, in order.
    #[serde(default)]
    pub lines_independent: bool,
    #[serde(default = "five_minutes", with = "filemill_core::duration::text")]
    pub timeout: Duration,
    /// All processes of a run together.
    #[serde(default = "half_a_gib")]
    pub memory: ByteSize,
    #[serde(default = "processes")]
    pub processes: u32,
    #[serde(default = "one_gib")]
    pub output_max: ByteSize,
    /// The scratch folder, all files together, and one file.
    #[serde(default = "one_gib")]
    pub scratch_max: ByteSize,
    /// May it use the network?
    #[serde(default)]
    pub network: bool,
    /// The only places besides the scratch folder that it may read and run programs from; by default the system's.
    pub reads: Option<Vec<PathBuf>>,
    /// The operator's word that it may also run where the kernel cannot hold it to its folders and off the network.
    #[serde(default)]
    pub unfenced: bool,
    pub content_type: Option<String>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Options that a rule or an upload may give.
    #[serde(default)]
    pub options: Vec<String>,
    pub summary: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    #[default]
    File,
    Chunk,
}

/// A service: the input in a POST, the output in the answer.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    pub url: String,
    #[serde(default)]
    pub send: Payload,
    /// The operator's word that lines may be sent in several requests.
    #[serde(default)]
    pub lines_independent: bool,
    /// Of the whole exchange.
    #[serde(default = "five_minutes", with = "filemill_core::duration::text")]
    pub timeout: Duration,
    /// From the end of the request to the first byte of the answer.
    #[serde(default = "half_a_minute", with = "filemill_core::duration::text")]
    pub first_byte: Duration,
    #[serde(default = "one_gib")]
    pub output_max: ByteSize,
    pub content_type: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// `host:port` and `address/prefix` that the outbound guard lets pass for this processor.
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub options: Vec<String>,
    pub summary: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload {
    /// The bytes.
    #[default]
    Body,
    /// A presigned link to them, in JSON.
    Link,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").field("argv", &self.argv).field("env", &self.env.keys()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("headers", &self.headers.keys()).finish_non_exhaustive()
    }
}

fn five_minutes() -> Duration {
    Duration::from_secs(300)
}

fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

fn half_a_gib() -> ByteSize {
    ByteSize(512 << 20)
}

fn one_gib() -> ByteSize {
    ByteSize(1 << 30)
}

/// As a control group of the usual size would have it.
fn processes() -> u32 {
    64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Config {
        processors: BTreeMap<String, Definition>,
    }

    #[test]
    fn definitions_read_from_the_configuration_and_hide_what_may_be_secret() {
        let config: Config = toml::from_str(
            r#"
            [processors.upper]
            exec = { argv = ["/usr/bin/tr", "a-z", "A-Z"], per = "chunk", lines_independent = true, timeout = "5m", memory = "512MiB", processes = 16, output_max = "1GiB", content_type = "text/plain", env = { TOKEN = "hush" } }
            [processors.tagger.http]
            url = "https://tagger.example/v1?key=hush"
            send = "link"
            timeout = "60s"
            headers = { authorization = "Bearer hush" }
            options = ["lang"]
            "#,
        )
        .expect("a configuration");
        let Some(Definition::Exec(upper)) = config.processors.get("upper") else { panic!("no command") };
        assert_eq!((upper.per, upper.memory, upper.processes), (Per::Chunk, ByteSize(512 << 20), 16));
        let Some(Definition::Http(tagger)) = config.processors.get("tagger") else { panic!("no service") };
        assert_eq!((tagger.send, tagger.timeout), (Payload::Link, Duration::from_secs(60)));
        let shown = format!("{config:?}");
        assert!(!shown.contains("hush") && shown.contains("TOKEN") && shown.contains("authorization"), "{shown}");
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        for (text, says) in [
            ("exec = { argv = [\"/bin/x\"], shell = true }", "shell"),
            ("exec = { per = \"file\" }", "argv"),
            ("exec = { argv = [\"/bin/x\"], per = \"line\" }", "chunk"),
            ("ftp = { url = \"x\" }", "exec"),
            ("http = { url = \"x\", retries = 3 }", "retries"),
        ] {
            let error = toml::from_str::<Config>(&format!("[processors.a]\n{text}")).expect_err(text).to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
