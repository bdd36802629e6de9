//! Mail by SMTP, to one address at a time. The server is resolved and checked by the outbound guard; only a checked address
//! is dialled, and its certificate must be for the server's name.

use crate::letter::Letter;
use filemill_core::notice::EmailAddress;
use filemill_core::ports::{NotifyError, Parcel};
use filemill_outbound::{Endpoint, Guard, OutboundError};
use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{SmtpTransport, Transport};
use std::time::{Duration, SystemTime};

/// Ports that mail servers take mail at.
const USUAL_PORTS: &[u16] = &[25, 465, 587];
/// Of each step of the exchange.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);

/// The operator's mail server.
#[derive(Clone)]
pub struct MailSettings {
    pub server: Endpoint,
    pub tls: MailTls,
    pub from: EmailAddress,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Certificates of authorities to trust besides the public ones, as PEM.
    pub ca: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MailTls {
    /// The connection begins in the clear and goes no further without TLS.
    #[default]
    StartTls,
    /// TLS from the first byte.
    Implicit,
    /// None, for a server on this machine.
    None,
}

pub struct Mailer {
    settings: MailSettings,
    guard: Guard,
    tls: Tls,
    sender: Mailbox,
}

impl Mailer {
    pub fn new(settings: MailSettings, guard: Guard) -> Result<Self, String> {
        settings.server.check(&guard, USUAL_PORTS).map_err(|refused| format!("smtp.server: {refused}"))?;
        if settings.tls == MailTls::None && settings.password.is_some() {
            return Err(
                "smtp.password: it would go over the network in the clear; use tls = \"starttls\" or \"tls\"".into()
            );
        }
        if settings.user.is_some() != settings.password.is_some() {
            return Err("smtp: user and password go together".into());
        }
        let sender = Mailbox::new(Some("Filemill".into()), address(&settings.from)?);
        Ok(Mailer { tls: tls_of(&settings)?, settings, guard, sender })
    }

    pub fn send(&self, to: &EmailAddress, parcel: &Parcel) -> Result<(), NotifyError> {
        let message = self.message(to, parcel).map_err(NotifyError::permanent)?;
        let resolved = self.settings.server.resolve(&self.guard, USUAL_PORTS).map_err(|e| match e {
            OutboundError::Refused(refused) => NotifyError::permanent(refused.to_string()),
            other => NotifyError::transient(other.to_string()),
        })?;
        let mut outcome = Err(NotifyError::transient("the mail server has no address"));
        for checked in resolved {
            let sent = self.transport(checked.ip().to_string()).send(&message);
            outcome = sent.map(drop).map_err(|e| failed(&e));
            // another address helps only where there was no connection
            if !matches!(&outcome, Err(NotifyError::Transient { message, .. }) if message == NO_CONNECTION) {
                break;
            }
        }
        outcome
    }

    fn transport(&self, address: String) -> SmtpTransport {
        let builder = SmtpTransport::builder_dangerous(address)
            .port(self.settings.server.port)
            .tls(self.tls.clone())
            .hello_name(ClientId::Domain("filemill".into()))
            .timeout(Some(STEP_TIMEOUT));
        match (&self.settings.user, &self.settings.password) {
            (Some(user), Some(password)) => builder.credentials(Credentials::new(user.clone(), password.clone())),
            _ => builder,
        }
        .build()
    }

    /// The same id in every try, so that a mailbox can tell a repeat.
    fn message(&self, to: &EmailAddress, parcel: &Parcel) -> Result<Message, String> {
        let Letter { subject, text } = Letter::of(&parcel.notices);
        let host = self.settings.from.as_str().rsplit('@').next().unwrap_or("filemill");
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(parcel.at.as_secs()).unwrap_or(0));
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        Message::builder()
            .from(self.sender.clone())
            .to(Mailbox::new(None, address(to)?))
            .subject(subject)
            .message_id(Some(format!("<{}@{host}>", parcel.idempotency_key)))
            .date(at)
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|e| format!("the mail cannot be written: {e}"))
    }
}

fn tls_of(settings: &MailSettings) -> Result<Tls, String> {
    if settings.tls == MailTls::None {
        return Ok(Tls::None);
    }
    let mut parameters = TlsParameters::builder(settings.server.host.to_string());
    if let Some(pem) = &settings.ca {
        let wrong = "smtp.ca: it is no PEM certificate; write for example \"${file:ca.pem}\"";
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(|_| wrong)?);
    }
    let parameters = parameters.build_rustls().map_err(|e| format!("smtp: TLS cannot be set up: {e}"))?;
    Ok(match settings.tls {
        MailTls::Implicit => Tls::Wrapper(parameters),
        _ => Tls::Required(parameters),
    })
}

fn address(of: &EmailAddress) -> Result<Address, String> {
    of.as_str().parse().map_err(|e| format!("{of} is no address: {e}"))
}

const NO_CONNECTION: &str = "no connection to the mail server";

/// By the server's code alone: its words may repeat what they were sent.
fn failed(error: &smtp::Error) -> NotifyError {
    let Some(code) = error.status().map(|code| code.to_string()) else {
        let words = if error.is_timeout() {
            "the mail server took too long"
        } else if error.is_tls() {
            "no secure connection to the mail server: its certificate or its TLS was not accepted"
        } else {
            NO_CONNECTION
        };
        return NotifyError::transient(words);
    };
    // 53x: it does not take our credentials, which the operator can mend
    let refused = error.is_permanent() && !code.starts_with("53");
    let message = format!("the mail server answered {code}");
    if refused { NotifyError::permanent(message) } else { NotifyError::transient(message) }
}

#[cfg(test)]
mod tests;
