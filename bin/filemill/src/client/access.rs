//! Where the service is and what opens it: flags, environment, or the credentials file of a service on this machine.

use super::Client;
use crate::backends::{self, Stopped};
use crate::credentials;
use crate::exit::Ending;
use anyhow::Result;
use std::path::{Path, PathBuf};
use url::Url;

/// Flags that every client command has.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Service")]
pub struct Access {
    /// Address of the service
    #[arg(long, env = "FILEMILL_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    url: String,
    /// Token of the service; other users see it in process lists, unlike FILEMILL_TOKEN [default: FILEMILL_ADMIN_TOKEN,
    /// or the service's credentials.json on this machine]
    #[arg(long, env = "FILEMILL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Data folder of a service on this machine, for its credentials.json [default: filemill-data]
    #[arg(long, env = "FILEMILL_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Access {
    pub fn client(&self) -> Result<Client> {
        let url = Url::parse(&self.url).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let url = url.ok_or_else(|| {
            Ending::usage(format!("{:?} is no address; give --url like http://127.0.0.1:8080", self.url))
        })?;
        Ok(Client::new(&self.url, self.find_token(&url)?))
    }

    /// The data folder that was named, if it is of this machine's service and nobody has it open. A folder that happens to
    /// lie here is not meant by saying nothing.
    pub fn stopped(&self) -> Result<Stopped> {
        match &self.data {
            Some(data) if Url::parse(&self.url).is_ok_and(|url| is_loopback(&url)) => {
                let stopped = backends::stopped(data)?;
                if matches!(stopped, Stopped::Store(_)) {
                    eprintln!("no service runs on {}; the folder itself is read", data.display());
                }
                Ok(stopped)
            }
            _ => Ok(Stopped::Unnamed),
        }
    }

    /// A token found by itself in the default folder goes to this machine only: `--url` may name any host.
    fn find_token(&self, url: &Url) -> Result<Option<String>> {
        let given = self.token.clone().or_else(|| std::env::var(credentials::ADMIN_TOKEN_VAR).ok());
        if let Some(token) = given.filter(|t| !t.is_empty()) {
            return Ok(Some(token));
        }
        let stored = match &self.data {
            Some(data) => credentials::read(data)?,
            None if is_loopback(url) => credentials::read(Path::new(crate::config::DATA_DEFAULT))?,
            None => None,
        };
        Ok(stored.map(|c| c.admin_token))
    }
}

pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_counts_as_loopback() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://127.0.0.1.example.org", false),
            ("https://example.org", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect(url)), expected, "{url}");
        }
    }
}
