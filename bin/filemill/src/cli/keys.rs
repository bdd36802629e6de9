//! `filemill keys`: who may do what. A key's secrets are printed once, when they are made.

use crate::client::access::Access;
use crate::client::views::{Key, Listed};
use crate::client::{Client, decoded, segment};
use crate::clock::SystemClock;
use crate::output::{self, Table};
use anyhow::Result;
use filemill_core::access::Place;
use filemill_core::message::MessageQueueName;
use filemill_core::ports::Clock;
use filemill_core::time::Timestamp;
use serde_json::{Value, json};

#[derive(clap::Args)]
#[command(after_help = crate::exit::EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// List keys, newest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
        limit: u64,
        #[command(flatten)]
        common: Common,
    },
    /// Make a key and print its secrets, which are told this once
    Create(Create),
    /// Exchange a key's secrets for new ones; the old ones open nothing more
    Rotate {
        #[arg(value_name = "KEY_ID")]
        id: String,
        #[command(flatten)]
        common: Common,
    },
    /// Revoke keys: they open nothing more, and what they have open is closed
    Revoke {
        #[arg(value_name = "KEY_ID", required = true)]
        ids: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(clap::Args)]
struct Common {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(clap::Args)]
struct Create {
    /// For people, and for the audit log
    name: String,
    /// What it may do
    #[arg(long, value_parser = ["uploader", "viewer", "operator", "admin"])]
    role: String,
    /// Only this tenant's buckets [default: that of the key that asks]
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only this bucket, or the part of it whose keys begin so; may be repeated
    #[arg(long = "bucket", value_name = "BUCKET[/PREFIX]", value_parser = Place::parse)]
    buckets: Vec<Place>,
    /// A message queue that its pair may use, by the SQS protocol; may be repeated
    #[arg(long = "queue", value_name = "QUEUE", value_parser = MessageQueueName::parse)]
    queues: Vec<MessageQueueName>,
    /// It opens nothing from then on: 2027-01-31T12:00:00Z, 2027-01-31 or 90d (from now)
    #[arg(long, value_name = "TIME", value_parser = super::moment_to_come)]
    expires: Option<String>,
    #[command(flatten)]
    common: Common,
}

impl Args {
    pub fn run(self) -> Result<()> {
        match self.verb {
            Verb::List { limit, common } => list(&common, limit),
            Verb::Create(create) => create.run(),
            Verb::Rotate { id, common } => {
                let made = common.access.client()?.post(&format!("/v1/keys/{}/rotate", segment(&id)), &json!({}))?;
                print_secrets(&common, made)
            }
            Verb::Revoke { ids, common } => revoke(&common, &ids),
        }
    }
}

fn list(common: &Common, limit: u64) -> Result<()> {
    let keys: Listed<Key> = common.access.client()?.list("/v1/keys", &[], limit)?;
    if common.json {
        return output::json(&keys.to_json());
    }
    let now = SystemClock.now();
    let mut table = Table::new(&["KEY", "NAME", "ROLE", "TENANT", "BUCKETS", "QUEUES", "EXPIRES", ""], &[]);
    for key in &keys.views {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let joined = |names: &[String]| if names.is_empty() { "-".into() } else { names.join(" ") };
        let (limits, queues) = (joined(&key.limits), joined(&key.queues));
        let expires = key.expires_at.as_deref().map_or("-".into(), output::time);
        let is_over = key.expires_at.as_deref().and_then(Timestamp::parse).is_some_and(|at| at <= now);
        let state = match (&key.revoked_at, is_over) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "",
        };
        let cells = [key.id.clone(), key.name.clone(), key.role.clone(), or_dash(&key.tenant), limits, queues, expires];
        table.row(cells.into_iter().chain([state.to_owned()]));
    }
    table.print()?;
    if keys.next_cursor.is_some() {
        eprintln!("there are more; --limit shows them");
    }
    Ok(())
}

fn revoke(common: &Common, ids: &[String]) -> Result<()> {
    let client: Client = common.access.client()?;
    let paths: Vec<String> = ids.iter().map(|id| format!("/v1/keys/{}", segment(id))).collect();
    // a typo among them, and none is revoked: else nobody knew which are
    for path in &paths {
        client.get(path, &[])?;
    }
    for path in &paths {
        client.delete(path)?;
    }
    if common.json {
        return output::json(&json!({ "revoked": ids }));
    }
    ids.iter().try_for_each(|id| output::line(format_args!("revoked {id}")))
}

impl Create {
    fn run(self) -> Result<()> {
        let wish = json!({
            "name": self.name, "role": self.role, "tenant": self.tenant, "limits": self.buckets,
            "queues": self.queues, "expires_at": self.expires,
        });
        print_secrets(&self.common, self.common.access.client()?.post("/v1/keys", &wish)?)
    }
}

fn print_secrets(common: &Common, made: Value) -> Result<()> {
    if common.json {
        return output::json(&made);
    }
    let key: Key = decoded(made.clone())?;
    output::line(format_args!("key                {} ({}, {})", key.id, key.name, key.role))?;
    output::line(format_args!("token              {}", made["token"].as_str().unwrap_or_default()))?;
    output::line(format_args!("access key id      {}", key.access_key_id))?;
    output::line(format_args!("secret access key  {}", made["secret_access_key"].as_str().unwrap_or("-")))?;
    eprintln!("The secrets are told this once: keep them. FILEMILL_TOKEN takes the token; S3 clients take the pair.");
    Ok(())
}
