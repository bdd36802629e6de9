//! `[[notify]]`, `[smtp]`, `[outbound]` and the webhooks that uploads may name: from the file's words to who is told what,
//! and how they are reached. Keys and passwords go into the receivers and nowhere else.

use super::file::{ConfigFile, Notify, NotifyKind, OneOrMore, Smtp, SmtpTls};
use filemill_core::message::MessageQueueName;
use filemill_core::notice::{EmailAddress, NoticeKind, Receiver};
use filemill_core::notify::{NotifyRule, NotifyRules};
use filemill_core::object::BucketName;
use filemill_core::rule::Name;
use filemill_notify::{Keys, MailSettings, MailTls, Receivers, Settings, UploadWebhooks, WebhookSettings};
use filemill_outbound::Guard;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Who is told what, and by whom.
pub struct Notifications {
    pub rules: NotifyRules,
    pub receivers: Receivers,
}

/// Errors may still hold secrets.
pub fn read(file: &ConfigFile) -> Result<Notifications, String> {
    let guard = Guard::allowing(file.outbound.allow.iter().map(String::as_str));
    let guard = guard.map_err(|e| format!("outbound.allow: {e}"))?;
    let (mut rules, mut webhooks) = (Vec::new(), BTreeMap::new());
    for (nth, entry) in file.notify.iter().enumerate() {
        let named = |e: String| match &entry.id {
            Some(id) => format!("notify {:?}: {e}", id.as_str()),
            None => format!("[[notify]] number {}: {e}", nth + 1),
        };
        for receiver in receivers_of(entry, file, &mut webhooks).map_err(named)? {
            let (on, rule, bucket) = (entry.on.clone(), entry.rule.clone(), entry.bucket.clone());
            rules.push(NotifyRule { on, receiver, rule, bucket });
        }
    }
    let settings = Settings { webhooks, uploads: uploads(file)?, mail: mail(file.smtp.as_ref())?, guard };
    Ok(Notifications { rules: NotifyRules::new(rules)?, receivers: Receivers::new(settings)? })
}

fn receivers_of(
    entry: &Notify,
    file: &ConfigFile,
    webhooks: &mut BTreeMap<Name, WebhookSettings>,
) -> Result<Vec<Receiver>, String> {
    if let Some(rule) = entry.rule.as_ref().filter(|id| !file.rules.iter().any(|rule| rule.id == **id)) {
        return Err(format!("there is no rule {:?}", rule.as_str()));
    }
    if let Some(bucket) = entry.bucket.as_ref().filter(|bucket| !is_bucket(file, bucket)) {
        return Err(format!(
            "there is no bucket {:?}: neither a [buckets.NAME] nor a rule's `from` or `output.bucket`",
            bucket.as_str()
        ));
    }
    let of_service = |kind: &&NoticeKind| matches!(kind, NoticeKind::AlarmRaised | NoticeKind::AlarmResolved);
    if let (Some(_), Some(kind)) = (&entry.bucket, entry.on.iter().find(of_service)) {
        return Err(format!("{kind} is of no bucket; leave `bucket` out or take another entry for it"));
    }
    match entry.kind {
        NotifyKind::Webhook => {
            let (name, webhook) = webhook(entry)?;
            if webhooks.insert(name.clone(), webhook).is_some() {
                return Err(format!("{:?} is taken; give each an `id` of its own", name.as_str()));
            }
            Ok(vec![Receiver::Webhook { name }])
        }
        NotifyKind::Email => {
            if entry.url.is_some() || entry.sign.is_some() {
                return Err("`url` and `sign` are for webhooks; mail has `to`".to_owned());
            }
            let to = entry.to.as_ref().ok_or("mail needs `to`, an address or a list of them")?;
            email_to(to.all().iter().map(|to| to.0.as_str()), file)
        }
        NotifyKind::Queue => {
            if entry.url.is_some() || entry.sign.is_some() {
                return Err("`url` and `sign` are for webhooks; a queue has `to`".to_owned());
            }
            let to = entry.to.as_ref().ok_or("a queue needs `to`, its name or a list of names")?;
            to.all().iter().map(|to| queue(&to.0, file)).collect()
        }
    }
}

fn is_bucket(file: &ConfigFile, bucket: &BucketName) -> bool {
    file.buckets.contains_key(bucket)
        || file.server.default_bucket.as_ref() == Some(bucket)
        || file.rules.iter().any(|rule| rule.from == *bucket || rule.output.bucket == *bucket)
}

/// A queue whose messages start a rule would be told of what its messages started, without end.
fn queue(name: &str, file: &ConfigFile) -> Result<Receiver, String> {
    let name = MessageQueueName::parse(name)?;
    match file.rules.iter().find(|rule| rule.from_queue.as_ref() == Some(&name)) {
        Some(rule) => Err(format!("messages of {name} start rule {:?}; tell another queue", rule.id.as_str())),
        None => Ok(Receiver::Queue { name }),
    }
}

/// Mail to these, if there is a server to send it.
pub fn email_to<'a>(addresses: impl Iterator<Item = &'a str>, file: &ConfigFile) -> Result<Vec<Receiver>, String> {
    if file.smtp.is_none() {
        return Err("mail needs a server; add [smtp] with server and from".to_owned());
    }
    addresses.map(|to| Ok(Receiver::Email { to: EmailAddress::parse(to)? })).collect()
}

fn webhook(entry: &Notify) -> Result<(Name, WebhookSettings), String> {
    if entry.to.is_some() {
        return Err("`to` is for mail and queues; a webhook has `url`".to_owned());
    }
    let url = entry.url.clone().ok_or("a webhook needs `url`")?;
    let sign = entry.sign.as_ref();
    let sign = sign.ok_or("a webhook needs `sign`, the key that its receiver checks signatures with")?;
    let name = match &entry.id {
        Some(id) => id.clone(),
        None => name_of(&url.0)?,
    };
    Ok((name, WebhookSettings { url: url.0, keys: keys(sign).map_err(|e| format!("sign: {e}"))? }))
}

/// The same for the same URL, and nothing of its path.
fn name_of(url: &str) -> Result<Name, String> {
    let host = url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    let host: String = host.chars().filter(|c| c.is_ascii_alphanumeric() || ".-".contains(*c)).take(50).collect();
    Name::parse(&format!("{host}-{}", hex::encode(&Sha256::digest(url.as_bytes())[..4])))
}

fn keys(sign: &OneOrMore) -> Result<Keys, String> {
    Keys::parse(sign.all().iter().map(|key| key.0.as_str()))
}

fn uploads(file: &ConfigFile) -> Result<Option<UploadWebhooks>, String> {
    let server = &file.server;
    if server.upload_webhooks.is_empty() {
        return Ok(None);
    }
    let hosts =
        server.upload_webhooks.iter().map(|host| host.parse().map_err(|e| format!("server.upload_webhooks: {e}")));
    let sign = server.upload_webhook_sign.as_ref();
    let sign =
        sign.ok_or("server.upload_webhooks needs server.upload_webhook_sign, the key that receivers check with")?;
    let keys = keys(sign).map_err(|e| format!("server.upload_webhook_sign: {e}"))?;
    Ok(Some(UploadWebhooks { hosts: hosts.collect::<Result<_, String>>()?, keys }))
}

fn mail(smtp: Option<&Smtp>) -> Result<Option<MailSettings>, String> {
    let Some(smtp) = smtp else { return Ok(None) };
    Ok(Some(MailSettings {
        server: smtp.server.parse().map_err(|e| format!("smtp.server: {e}"))?,
        tls: match smtp.tls {
            SmtpTls::Starttls => MailTls::StartTls,
            SmtpTls::Tls => MailTls::Implicit,
            SmtpTls::None => MailTls::None,
        },
        from: EmailAddress::parse(&smtp.from).map_err(|e| format!("smtp.from: {e}"))?,
        user: smtp.user.clone(),
        password: smtp.password.as_ref().map(|password| password.0.clone()),
        ca: smtp.ca.clone(),
    }))
}
