//! Tells receivers beyond the service: signed webhooks and plain mail, through the outbound guard.
//!
//! It implements the `Notifier` port. It holds the addresses and keys that the config names; what it sends, and when again,
//! is decided elsewhere. Nothing here shows a key, a password, a link, or what a receiver answered.

mod letter;
mod mail;
mod receivers;
mod signature;
mod webhook;

pub use mail::{MailSettings, MailTls};
pub use receivers::{Receivers, Settings, UploadWebhooks, WebhookSettings};
pub use signature::Keys;
