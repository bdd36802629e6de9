//! Our queues through the port, as a peer in the same process has them: no socket, no signature, no JSON.

use super::Client;
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use filemill_core::message::{MessageCounts, MessageQueueName, MessageQueueSettings, NewMessage};
use filemill_core::ports::{Clock, MessageQueues, Receive};
use filemill_core::time::Timestamp;
use filemill_local::{LocalConfig, LocalStore};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
    }

    fn elapsed(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

pub struct Queue {
    store: Arc<LocalStore>,
    name: MessageQueueName,
}

impl Queue {
    pub async fn open(folder: &Path) -> Result<Self> {
        let store = LocalStore::open(LocalConfig::new(folder.join("data"), Arc::new(SystemClock)))?;
        let name = MessageQueueName::parse("bench").map_err(anyhow::Error::msg)?;
        store.create_queue(&name, &MessageQueueSettings::default()).await?;
        Ok(Queue { store, name })
    }

    pub fn clients(&self, count: usize) -> Vec<Box<dyn Client>> {
        let client = || PortClient { store: Arc::clone(&self.store), name: self.name.clone() };
        (0..count).map(|_| Box::new(client()) as Box<dyn Client>).collect()
    }

    pub async fn expect_empty(&self) -> Result<()> {
        let counts = self.store.message_counts(&self.name).await?;
        ensure!(counts == MessageCounts::default(), "messages are left: {counts:?}");
        Ok(())
    }
}

struct PortClient {
    store: Arc<LocalStore>,
    name: MessageQueueName,
}

#[async_trait(?Send)]
impl Client for PortClient {
    async fn cycle(&mut self, body: &str) -> Result<()> {
        self.store.send(&self.name, vec![NewMessage::of(body)]).await?;
        let wanted = Receive { max: 1, visibility: None, wait: Some(Duration::from_secs(20)) };
        let message = self.store.receive(&self.name, wanted).await?.pop().context("nothing was received")?;
        ensure!(message.body == body, "another body came");
        Ok(self.store.delete_messages(&self.name, &[message.receipt]).await?)
    }
}
