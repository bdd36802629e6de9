//! A server that is reached by another protocol than HTTP: its name is resolved and every address checked here, and the
//! caller dials a checked address only.

use crate::client::OutboundError;
use crate::guard::{Guard, Refused};
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use url::Host;

/// Written `host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: Host<String>,
    pub port: u16,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not \"host:port\"");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (host, port) = (Host::parse(host).map_err(|_| wrong())?, port.parse().map_err(|_| wrong())?);
        if port == 0 { Err(wrong()) } else { Ok(Endpoint { host, port }) }
    }
}

impl Endpoint {
    /// Judges what can be judged without resolving the name. `usual` are the protocol's own ports; others must be listed.
    pub fn check(&self, guard: &Guard, usual: &[u16]) -> Result<(), Refused> {
        if !usual.contains(&self.port) && !guard.names(&self.host, self.port) {
            return Err(Refused(format!(
                "port {} is not one of {usual:?}; list \"{self}\" under `allow` in [outbound]",
                self.port
            )));
        }
        guard.check_host(&self.host, self.port)
    }

    /// The addresses to dial. One that may not be reached refuses all: a name that leads to both kinds is up to something.
    pub fn resolve(&self, guard: &Guard, usual: &[u16]) -> Result<Vec<SocketAddr>, OutboundError> {
        self.check(guard, usual)?;
        let unknown = || OutboundError::Unavailable("the server's name was not found".to_owned());
        let resolved: Vec<SocketAddr> = match &self.host {
            Host::Ipv4(ip) => vec![SocketAddr::from((*ip, self.port))],
            Host::Ipv6(ip) => vec![SocketAddr::from((*ip, self.port))],
            Host::Domain(name) => (name.as_str(), self.port).to_socket_addrs().map_err(|_| unknown())?.collect(),
        };
        if resolved.is_empty() {
            return Err(unknown());
        }
        for address in &resolved {
            guard.check_address(&self.host, *address)?;
        }
        Ok(resolved)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(allow: &[&str], endpoint: &str) -> Result<Vec<SocketAddr>, OutboundError> {
        let guard = Guard::allowing(allow.iter().copied()).expect("a list");
        endpoint.parse::<Endpoint>().expect(endpoint).resolve(&guard, &[25, 587])
    }

    #[test]
    fn private_servers_and_unusual_ports_must_be_listed() {
        for refused in ["127.0.0.1:25", "localhost:25", "[::1]:587", "10.0.0.1:25", "169.254.169.254:25", "0x7f.1:25"] {
            assert!(matches!(resolve(&[], refused), Err(OutboundError::Refused(_))), "{refused}");
        }
        assert!(matches!(resolve(&[], "1.1.1.1:2525"), Err(OutboundError::Refused(_))));
        assert!(resolve(&[], "1.1.1.1:25").is_ok());
        assert!(resolve(&["127.0.0.1:2525"], "127.0.0.1:2525").is_ok());
        assert!(resolve(&["localhost:2525"], "localhost:2525").is_ok_and(|all| all[0].ip().is_loopback()));
        assert!(resolve(&["localhost:2525"], "localhost:2526").is_err());
    }

    #[test]
    fn what_is_no_endpoint_is_refused() {
        for bad in ["", "mail", "mail:", "mail:0", ":25", "mail:99999", "smtp://mail:25"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }
}
