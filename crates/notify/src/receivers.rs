//! All receivers that the config names, and the webhooks that uploads may name: the `Notifier` port.

use crate::mail::{MailSettings, Mailer};
use crate::signature::Keys;
use crate::webhook;
use async_trait::async_trait;
use filemill_core::limits;
use filemill_core::notice::Receiver;
use filemill_core::ports::{Notifier, NotifyError, Parcel};
use filemill_core::rule::Name;
use filemill_outbound::{Endpoint, Guard, Outbound, OutboundLimits};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Of an answer, what is read and thrown away.
const REPLY_BYTES_MAX: u64 = 64 * limits::KIB;
/// Less than the engine waits, so that what ends here says why.
const TOTAL: Duration = Duration::from_secs(18);

/// As the config has it.
#[derive(Clone, Default)]
pub struct Settings {
    pub webhooks: BTreeMap<Name, WebhookSettings>,
    pub uploads: Option<UploadWebhooks>,
    pub mail: Option<MailSettings>,
    pub guard: Guard,
}

#[derive(Clone)]
pub struct WebhookSettings {
    pub url: String,
    pub keys: Keys,
}

/// Hosts that uploads may name, each `host:port`; what goes there is signed with these keys.
#[derive(Clone)]
pub struct UploadWebhooks {
    pub hosts: Vec<Endpoint>,
    pub keys: Keys,
}

#[derive(Clone)]
pub struct Receivers {
    inner: Arc<Inner>,
}

struct Inner {
    webhooks: BTreeMap<Name, WebhookSettings>,
    uploads: Option<UploadWebhooks>,
    mailer: Option<Mailer>,
    guard: Guard,
    outbound: Outbound,
}

impl Receivers {
    /// The error says which entry is wrong, and shows no secret.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let Settings { webhooks, uploads, mail, guard } = settings;
        for (name, webhook) in &webhooks {
            guard.check_url(&webhook.url).map_err(|refused| format!("notify {name}: url: {refused}"))?;
        }
        let steps = Duration::from_secs(15);
        let limits = OutboundLimits { first_byte: steps, idle: steps, ..OutboundLimits::of(TOTAL, REPLY_BYTES_MAX) };
        let outbound = Outbound::new(guard.clone(), limits);
        let mailer = mail.map(|mail| Mailer::new(mail, guard.clone())).transpose()?;
        Ok(Receivers { inner: Arc::new(Inner { webhooks, uploads, mailer, guard, outbound }) })
    }
}

#[async_trait]
impl Notifier for Receivers {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError> {
        let (inner, parcel) = (self.inner.clone(), parcel.clone());
        let sent = tokio::task::spawn_blocking(move || inner.deliver(&parcel)).await;
        sent.unwrap_or_else(|_| Err(NotifyError::transient("sending it failed inside of the service")))
    }

    fn receiver_of_upload(&self, url: &str) -> Result<Receiver, String> {
        self.inner.receiver_of_upload(url)
    }
}

impl Inner {
    fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError> {
        let gone = || NotifyError::permanent("the config does not name this receiver any more");
        match &parcel.receiver {
            Receiver::Webhook { name } => {
                let WebhookSettings { url, keys } = self.webhooks.get(name).ok_or_else(gone)?;
                webhook::send(&self.outbound, url, keys, parcel)
            }
            Receiver::UploadWebhook { url, .. } => {
                // the operator may have closed the host since the upload named it
                self.receiver_of_upload(url).map_err(NotifyError::permanent)?;
                let uploads = self.uploads.as_ref().ok_or_else(gone)?;
                webhook::send(&self.outbound, url, &uploads.keys, parcel)
            }
            Receiver::Email { to } => self.mailer.as_ref().ok_or_else(gone)?.send(to, parcel),
            Receiver::Queue { .. } => Err(NotifyError::permanent("message queues are in the service")),
            Receiver::Live => Err(NotifyError::permanent("the live feed has its own way")),
        }
    }

    fn receiver_of_upload(&self, text: &str) -> Result<Receiver, String> {
        if text.len() > limits::RECEIVER_URL_BYTES_MAX {
            return Err(format!("the URL has more than {} bytes", limits::RECEIVER_URL_BYTES_MAX));
        }
        let Some(uploads) = &self.uploads else {
            return Err("this service tells of uploads by its live feed only".to_owned());
        };
        let url = Url::parse(text).map_err(|e| format!("the URL cannot be read: {e}"))?;
        let known = match (url.host(), url.port_or_known_default()) {
            (Some(host), Some(port)) => {
                uploads.hosts.iter().any(|known| known.host == host.to_owned() && known.port == port)
            }
            _ => false,
        };
        if !known {
            let hosts: Vec<String> = uploads.hosts.iter().map(ToString::to_string).collect();
            return Err(format!("uploads may name webhooks at {} only", hosts.join(", ")));
        }
        let url = self.guard.check_url(text).map_err(|refused| refused.to_string())?;
        Ok(Receiver::UploadWebhook { origin: url.origin().ascii_serialization(), url: url.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receivers(hosts: &[&str]) -> Receivers {
        let keys = Keys::parse(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).expect("a key");
        let hosts = hosts.iter().map(|host| host.parse().expect("an endpoint")).collect();
        let uploads = Some(UploadWebhooks { hosts, keys });
        Receivers::new(Settings { uploads, ..Settings::default() }).expect("settings")
    }

    #[test]
    fn an_upload_names_webhooks_of_listed_hosts_only() {
        let receivers = receivers(&["hooks.example.org:443"]);
        let Receiver::UploadWebhook { origin, .. } =
            receivers.receiver_of_upload("https://HOOKS.example.org/x?y=1").expect("a receiver")
        else {
            panic!("another kind");
        };
        assert_eq!(origin, "https://hooks.example.org");
        for bad in [
            "http://hooks.example.org/",
            "https://hooks.example.org:8443/",
            "https://other.example.org/",
            "https://hooks.example.org.evil.org/",
            "https://user@hooks.example.org/",
            "https://hooks.example.org@evil.org/",
            "ftp://hooks.example.org:443/",
            "hooks.example.org",
            "",
        ] {
            assert!(receivers.receiver_of_upload(bad).is_err(), "{bad}");
        }
        assert!(receivers.receiver_of_upload(&format!("https://hooks.example.org/{}", "x".repeat(1000))).is_err());
    }

    #[test]
    fn a_listed_host_is_still_guarded() {
        let receivers = receivers(&["127.0.0.1:80", "169.254.169.254:80"]);
        for url in ["http://127.0.0.1/", "http://2130706433/", "http://169.254.169.254/latest/meta-data"] {
            let error = receivers.receiver_of_upload(url).expect_err(url);
            assert!(error.contains("list"), "{error}");
        }
    }

    #[test]
    fn without_a_list_uploads_name_none() {
        let receivers = Receivers::new(Settings::default()).expect("settings");
        assert!(receivers.receiver_of_upload("https://hooks.example.org/").is_err());
    }
}
