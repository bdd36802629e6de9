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
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

/// Ports that mail servers take mail at.
const USUAL_PORTS: &[u16] = &[25, 465, 587];
/// Of each step but the last.
const STEP_TIMEOUT: Duration = Duration::from_secs(8);
/// Of the answer to the mail's content. RFC 5321 4.5.3.2.6 wants minutes: servers look through it before they answer, and a mail
/// whose answer was not waited for would come again. The steps of a usual server stay within core's `MAIL_TIMEOUT`.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(180);

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
    /// None: no TLS.
    tls: Option<TlsParameters>,
    sender: Mailbox,
    step_timeout: Duration,
    answer_timeout: Duration,
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
        let (step_timeout, answer_timeout) = (STEP_TIMEOUT, ANSWER_TIMEOUT);
        Ok(Mailer { tls: tls_of(&settings)?, settings, guard, sender, step_timeout, answer_timeout })
    }

    pub fn send(&self, to: &EmailAddress, parcel: &Parcel) -> Result<(), NotifyError> {
        let message = self.message(to, parcel).map_err(NotifyError::permanent)?;
        let resolved = self.settings.server.resolve(&self.guard, USUAL_PORTS).map_err(|e| match e {
            OutboundError::Refused(refused) => NotifyError::permanent(refused.to_string()),
            other => NotifyError::transient(other.to_string()),
        })?;
        let mut unreached = NotifyError::transient("the mail server has no address");
        for checked in resolved {
            match self.connect(checked.ip()) {
                Ok(connection) => return self.speak(connection, &message).map_err(|e| failed(&e)),
                // it is there, and another of its addresses says the same
                Err(e) if e.status().is_some() => return Err(failed(&e)),
                Err(e) => unreached = failed(&e),
            }
        }
        Err(unreached)
    }

    /// To a server that greets.
    fn connect(&self, address: IpAddr) -> Result<SmtpConnection, smtp::Error> {
        let from_first_byte = self.tls.as_ref().filter(|_| self.settings.tls == MailTls::Implicit);
        let server = (address, self.settings.server.port);
        SmtpConnection::connect(server, Some(self.step_timeout), &hello(), from_first_byte, None)
    }

    fn speak(&self, mut connection: SmtpConnection, message: &Message) -> Result<(), smtp::Error> {
        let sent = self.hand_over(&mut connection, message);
        // taken is taken, whatever becomes of the farewell
        let _ = connection.set_timeout(Some(self.step_timeout));
        connection.abort();
        sent
    }

    fn hand_over(&self, connection: &mut SmtpConnection, message: &Message) -> Result<(), smtp::Error> {
        if let Some(tls) = self.tls.as_ref().filter(|_| self.settings.tls == MailTls::StartTls) {
            connection.starttls(tls, &hello())?;
        }
        if let (Some(user), Some(password)) = (&self.settings.user, &self.settings.password) {
            connection.auth(DEFAULT_MECHANISMS, &Credentials::new(user.clone(), password.clone()))?;
        }
        let envelope = message.envelope();
        connection.command(Mail::new(envelope.from().cloned(), Vec::new()))?;
        for to in envelope.to() {
            connection.command(Rcpt::new(to.clone(), Vec::new()))?;
        }
        connection.command(Data)?;
        // a connection that takes no timeout is broken, as the next step finds
        let _ = connection.set_timeout(Some(self.answer_timeout));
        connection.message(&message.formatted()).map(drop)
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

fn hello() -> ClientId {
    ClientId::Domain("filemill".into())
}

fn tls_of(settings: &MailSettings) -> Result<Option<TlsParameters>, String> {
    if settings.tls == MailTls::None {
        return Ok(None);
    }
    let mut parameters = TlsParameters::builder(settings.server.host.to_string());
    if let Some(pem) = &settings.ca {
        let wrong = "smtp.ca: it is no PEM certificate; write for example \"${file:ca.pem}\"";
        parameters = parameters.add_root_certificate(Certificate::from_pem(pem.as_bytes()).map_err(|_| wrong)?);
    }
    parameters.build_rustls().map(Some).map_err(|e| format!("smtp: TLS cannot be set up: {e}"))
}

fn address(of: &EmailAddress) -> Result<Address, String> {
    of.as_str().parse().map_err(|e| format!("{of} is no address: {e}"))
}

/// By the server's code alone: its words may repeat what they were sent.
fn failed(error: &smtp::Error) -> NotifyError {
    let Some(code) = error.status().map(|code| code.to_string()) else {
        if let Some(lacks) = error.source().filter(|_| error.is_client()) {
            return NotifyError::transient(format!("the mail server does not fit the settings: {lacks}"));
        }
        let words = if is_timeout(error) {
            "the mail server took too long"
        } else if error.is_tls() {
            "no secure connection to the mail server: its certificate or its TLS was not accepted"
        } else {
            "no connection to the mail server, or it broke off"
        };
        return NotifyError::transient(words);
    };
    // 53x: it does not take our credentials, which the operator can mend
    let refused = error.is_permanent() && !code.starts_with("53");
    let message = format!("the mail server answered {code}");
    if refused { NotifyError::permanent(message) } else { NotifyError::transient(message) }
}

/// A read that took too long is `WouldBlock` on Unix.
fn is_timeout(error: &smtp::Error) -> bool {
    let causes = std::iter::successors(error.source(), |&e| e.source());
    let kinds = causes.filter_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| matches!(kind, ErrorKind::TimedOut | ErrorKind::WouldBlock))
}

#[cfg(test)]
mod tests;
