//! Queues as they are now: what waits, what runs, what gave up; and what message queues hold.

use crate::error::CommandError;
use crate::{Engine, QueueSettings};
use filemill_core::access::Principal;
use filemill_core::dead_letter::{DeadLetterFilter, DeadLetterStatus};
use filemill_core::limits;
use filemill_core::message::{MessageCounts, MessageQueueName};
use filemill_core::ports::{ListMessageQueues, MessageError, QueueDepth};
use filemill_core::record::RecordQuery;
use filemill_core::rule::QueueName;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct QueueState {
    pub name: QueueName,
    pub settings: QueueSettings,
    pub depth: QueueDepth,
    /// Letters that wait for a person.
    pub dead: u64,
}

impl Engine {
    /// Those that the config or a rule names, and those that hold something.
    pub async fn queues(&self) -> Result<Vec<QueueState>, CommandError> {
        let config = &self.inner.config;
        let depths = self.inner.ports.queue.depths().await?;
        let dead = self.dead_by_queue().await?;
        let of_rules = config.rules.all().iter().map(|rule| &rule.queue);
        let names = config.queues.keys().chain(of_rules).chain(depths.keys()).chain(dead.keys());
        let names: std::collections::BTreeSet<QueueName> = names.cloned().collect();
        let state = |name: QueueName| QueueState {
            settings: config.queues.get(&name).cloned().unwrap_or_default(),
            depth: depths.get(&name).copied().unwrap_or_default(),
            dead: dead.get(&name).copied().unwrap_or_default(),
            name,
        };
        Ok(names.into_iter().map(state).collect())
    }

    /// May they know of this queue? It is used by a rule that they see, or holds a letter of theirs.
    pub async fn knows_queue(&self, who: &Principal, queue: &QueueName) -> Result<bool, CommandError> {
        if who.reach.is_everything() {
            return Ok(self.queues().await?.iter().any(|known| known.name == *queue));
        }
        if self.rules(who).any(|rule| rule.queue == *queue) {
            return Ok(true);
        }
        let filter = DeadLetterFilter { queue: Some(queue.clone()), ..DeadLetterFilter::default() };
        Ok(self.count_dead_letters(who, &filter).await? > 0)
    }

    /// What each message queue holds, by name.
    pub async fn message_queues(&self) -> Result<Vec<(MessageQueueName, MessageCounts)>, CommandError> {
        let messages = &self.inner.ports.messages;
        let all = ListMessageQueues { limit: limits::MESSAGE_QUEUES_MAX as u32, ..ListMessageQueues::default() };
        let mut held = Vec::new();
        for queue in messages.message_queues(&all).await? {
            match messages.message_counts(&queue.name).await {
                Ok(counts) => held.push((queue.name, counts)),
                // it was removed meanwhile
                Err(MessageError::NotFound(_)) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(held)
    }

    async fn dead_by_queue(&self) -> Result<BTreeMap<QueueName, u64>, CommandError> {
        let dead = DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..DeadLetterFilter::default() };
        let query = RecordQuery { limit: limits::PAGE_MAX, ..dead.query() };
        let groups = self.inner.ports.state.record_groups(&query, "queue").await?;
        Ok(groups.into_iter().filter_map(|g| Some((QueueName::parse(&g.value).ok()?, g.count))).collect())
    }
}
