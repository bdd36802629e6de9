//! What may be reached: the rules about URLs, ports and addresses, and the operator's list of exceptions.
//!
//! The guard judges; it connects to nothing. A URL is judged before its name is resolved, each address after.

use crate::address::{Reserved, reserved};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use url::{Host, Url};

/// Refused, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// One entry of the operator's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `host:port`. A name may then lead to private addresses, but not to link-local ones or a cloud's credentials: those
    /// are written as addresses.
    Endpoint { host: Host<String>, port: u16 },
    /// `10.0.0.0/8`: every address inside, at the usual ports; a cloud's credentials stay closed.
    Network { base: IpAddr, prefix: u8 },
}

/// Written `host:port`, `[::1]:port` or `address/prefix`.
impl FromStr for Allowed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is neither \"host:port\" nor \"address/prefix\" such as \"10.0.0.0/8\"");
        if let Some((base, prefix)) = text.split_once('/') {
            let base: IpAddr = base.parse().map_err(|_| wrong())?;
            let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
            let longest = if base.is_ipv4() { 32 } else { 128 };
            return if prefix <= longest { Ok(Allowed::Network { base, prefix }) } else { Err(wrong()) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let host = Host::parse(host).map_err(|_| wrong())?;
        if port == 0 || matches!(&host, Host::Domain(name) if name.is_empty()) {
            return Err(wrong());
        }
        Ok(Allowed::Endpoint { host, port })
    }
}

/// The policy. By default: http and https to public addresses at ports 80 and 443.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    pub allow: Vec<Allowed>,
}

impl Guard {
    /// Reads the operator's list.
    pub fn allowing<'a>(list: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        Ok(Guard { allow: list.into_iter().map(str::parse).collect::<Result<_, _>>()? })
    }

    /// Parses a URL, in any spelling of its host, and judges what can be judged without resolving a name.
    pub fn check_url(&self, text: &str) -> Result<Url, Refused> {
        // the text is not repeated: it may hold a secret
        let wrong = |e| Refused(format!("the URL cannot be read: {e}; write it like https://example.org/path"));
        let url = Url::parse(text).map_err(wrong)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refused(format!("the URL begins with {:?}; only http and https are sent to", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused("the URL holds a user name or password, which is not sent; leave it out".into()));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Refused("the URL names no host".into()));
        };
        if !matches!(port, 80 | 443) && !self.names(&host.to_owned(), port) {
            return Err(Refused(format!(
                "port {port} of {host} is neither 80 nor 443; list \"{host}:{port}\" under `allow` in [outbound]"
            )));
        }
        self.check_host(&host.to_owned(), port)?;
        Ok(url)
    }

    /// Judges what can be judged without resolving a name.
    pub(crate) fn check_host(&self, host: &Host<String>, port: u16) -> Result<(), Refused> {
        match host {
            Host::Ipv4(address) => self.check_address(host, SocketAddr::from((*address, port))),
            Host::Ipv6(address) => self.check_address(host, SocketAddr::from((*address, port))),
            Host::Domain(_) => Ok(()),
        }
    }

    /// Judges one address that `host` resolved to.
    pub fn check_address(&self, host: &Host<String>, address: SocketAddr) -> Result<(), Refused> {
        let (ip, port) = (address.ip(), address.port());
        let Some(why) = reserved(ip) else { return Ok(()) };
        let literal = match ip {
            IpAddr::V4(v4) => Host::Ipv4(v4),
            IpAddr::V6(v6) => Host::Ipv6(v6),
        };
        let by_address_only = matches!(why, Reserved::LinkLocal | Reserved::Metadata);
        let by_name = self.names(host, port) && !by_address_only;
        let by_network = why != Reserved::Metadata && self.allow.iter().any(|entry| entry.covers(ip));
        if by_name || by_network || self.names(&literal, port) {
            return Ok(());
        }
        let hint = if by_address_only { literal } else { host.clone() };
        Err(Refused(format!(
            "{host} leads to a {} address, {ip}; list \"{hint}:{port}\" under `allow` in [outbound]",
            why.as_str()
        )))
    }

    pub(crate) fn names(&self, host: &Host<String>, port: u16) -> bool {
        let is_it =
            |entry: &Allowed| matches!(entry, Allowed::Endpoint { host: h, port: p } if *p == port && same(h, host));
        self.allow.iter().any(is_it)
    }
}

/// A final dot says that a name is complete; it is the same name.
fn same(a: &Host<String>, b: &Host<String>) -> bool {
    match (a, b) {
        (Host::Domain(a), Host::Domain(b)) => a.trim_end_matches('.').eq_ignore_ascii_case(b.trim_end_matches('.')),
        _ => a == b,
    }
}

impl Allowed {
    fn covers(&self, address: IpAddr) -> bool {
        let Allowed::Network { base, prefix } = self else { return false };
        match (base, address) {
            (IpAddr::V4(base), IpAddr::V4(a)) => {
                (u32::from(*base) ^ u32::from(a)).leading_zeros() >= u32::from(*prefix)
            }
            (IpAddr::V6(base), IpAddr::V6(a)) => {
                (u128::from(*base) ^ u128::from(a)).leading_zeros() >= u32::from(*prefix)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Allowed::Endpoint { host, port } => write!(f, "{host}:{port}"),
            Allowed::Network { base, prefix } => write!(f, "{base}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(list: &[&str]) -> Guard {
        Guard::allowing(list.iter().copied()).expect("a list")
    }

    #[test]
    fn every_spelling_of_a_private_host_is_refused() {
        for host in [
            "127.0.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.1",
            "127.0.1",
            "0x7F.0x0.0x0.0x1",
            "127.0.0.1.",
            "１２７.0.0.1",
            "127。0。0。1",
            "%31%32%37.0.0.1",
            "0",
            "0.0.0.0",
            "0x0",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0251.0376.0251.0376",
            "10.0.0.1",
            "0xa.1",
            "192.168.0.1",
            "3232235521",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:0:0:1]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[fd00::1]",
            "[fe80::1]",
            "[ff02::1]",
        ] {
            let refused = guard(&[]).check_url(&format!("http://{host}/latest/meta-data"));
            assert!(refused.is_err(), "{host} is {:?}", refused);
        }
    }

    #[test]
    fn only_web_addresses_without_credentials_are_read() {
        for (url, says) in [
            ("ftp://example.com/", "only http and https"),
            ("file:///etc/passwd", "only http and https"),
            ("gopher://example.com/", "only http and https"),
            ("http://user@example.com/", "leave it out"),
            ("http://user:secret@example.com/", "leave it out"),
            ("https://:secret@example.com/", "leave it out"),
            ("http://", "cannot be read"),
            ("example.com", "cannot be read"),
            ("http://example.com:22/", "neither 80 nor 443"),
            ("http://1.1.1.1:8080/", "neither 80 nor 443"),
        ] {
            let refused = guard(&[]).check_url(url).expect_err(url).to_string();
            assert!(refused.contains(says) && !refused.contains("secret"), "{url}: {refused}");
        }
        for url in [
            "http://example.com/",
            "https://example.com/x?y",
            "http://example.com:443/",
            "https://1.1.1.1/",
            "HTTP://EXAMPLE.com",
        ] {
            assert!(guard(&[]).check_url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn the_list_opens_what_it_names_and_no_more() {
        let guard = guard(&["127.0.0.1:9999", "tagger.local:8080", "10.1.0.0/16", "[::1]:80", "169.254.169.254:80"]);
        for url in [
            "http://127.0.0.1:9999/",
            "http://0x7f.1:9999/",
            "http://TAGGER.local:8080/",
            "http://tagger.local.:8080/",
            "http://10.1.2.3/",
            "https://10.1.255.1/",
            "http://[::1]/",
            "http://169.254.169.254/",
        ] {
            assert!(guard.check_url(url).is_ok(), "{url}");
        }
        for url in [
            "http://127.0.0.1/",
            "http://127.0.0.2:9999/",
            "http://tagger.local:8081/",
            "http://10.2.0.1/",
            "http://10.1.2.3:8080/",
            "http://[::1]:443/",
            "http://[::ffff:127.0.0.1]:9999/",
        ] {
            assert!(guard.check_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_listed_name_may_lead_to_private_addresses_but_not_to_a_cloud_s_credentials() {
        let guard = guard(&["tagger.local:80"]);
        let host = Host::Domain("tagger.local".to_owned());
        let at = |address: &str| guard.check_address(&host, address.parse().expect(address));
        assert!(at("10.0.0.1:80").is_ok() && at("127.0.0.1:80").is_ok() && at("8.8.8.8:80").is_ok());
        assert!(at("10.0.0.1:443").is_err());
        assert!(at("169.254.169.254:80").is_err() && at("[::ffff:169.254.169.254]:80").is_err());
        assert!(at("[fd00:ec2::254]:80").is_err() && at("100.100.100.200:80").is_err());
    }

    #[test]
    fn no_network_opens_where_a_cloud_keeps_credentials() {
        let guard = guard(&["0.0.0.0/0", "::/0"]);
        assert!(guard.check_url("http://169.254.1.1/").is_ok() && guard.check_url("http://[fd00:ec2::1]/").is_ok());
        for (host, entry) in [
            ("169.254.169.254", "169.254.169.254:80"),
            ("[fd00:ec2::254]", "[fd00:ec2::254]:80"),
            ("100.100.100.200", "100.100.100.200:80"),
            ("192.0.0.192", "192.0.0.192:80"),
            ("[::ffff:169.254.169.254]", "[::ffff:169.254.169.254]:80"),
        ] {
            let url = format!("http://{host}/latest/meta-data");
            assert!(guard.check_url(&url).is_err(), "{url}");
            assert!(Guard::allowing([entry]).expect("a list").check_url(&url).is_ok(), "{url}");
        }
    }

    #[test]
    fn entries_that_cannot_be_read_are_named() {
        for bad in [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:99999",
            ":80",
            "10.0.0.0/33",
            "10.0.0/8",
            "x/8",
            "::1:",
        ] {
            assert!(bad.parse::<Allowed>().is_err(), "{bad:?}");
        }
        for good in ["127.0.0.1:9999", "[::1]:80", "fd00::/8", "10.0.0.0/8", "tagger.local:8080"] {
            assert_eq!(good.parse::<Allowed>().map(|a| a.to_string()), Ok(good.to_owned()));
        }
    }
}
