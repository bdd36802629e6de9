//! The audit log, written and read. An entry goes into the commit of what it tells; only where bytes are removed, which no
//! commit holds, it goes before them.

use crate::Engine;
use crate::error::CommandError;
use filemill_core::access::{Principal, TenantName};
use filemill_core::audit::{self, Actor, AuditEntry};
use filemill_core::file::File;
use filemill_core::ids::AuditId;
use filemill_core::limits;
use filemill_core::object::BucketName;
use filemill_core::ports::{Change, ChangeSet, Durability, Page, StateError};
use filemill_core::record::{Record, RecordKind, RecordQuery, Recorded, Revised};
use filemill_core::time::Timestamp;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// Behind whatever is due.
const END_OF_TIME: Timestamp = Timestamp::from_millis(i64::MAX);

/// Filters are ANDed.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    pub actor: Option<String>,
    /// With a trailing `*`: a prefix.
    pub action: Option<String>,
    pub target: Option<String>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub after: Option<AuditId>,
    pub limit: u32,
}

impl Engine {
    pub(crate) fn audited(&self, actor: &Actor, action: &str, target: impl ToString, detail: Value) -> Change {
        self.audited_for(actor, actor.tenant.clone(), action, target, detail)
    }

    /// Of what was done to something in this bucket: it concerns the bucket's tenant, whoever did it.
    pub(crate) fn audited_at(
        &self,
        actor: &Actor,
        bucket: &BucketName,
        action: &str,
        target: impl ToString,
        detail: Value,
    ) -> Change {
        self.audited_for(actor, Some(self.inner.tenancy.of(bucket)), action, target, detail)
    }

    /// What the listing told and no announcement did.
    pub(crate) fn audited_repair(&self, file: &File) -> Change {
        let (actor, detail) = (Actor::service(), json!({ "removed": file.removed_at.is_some() }));
        self.audited_at(&actor, &file.bucket, audit::REPAIRED, format!("{}/{}", file.bucket, file.key), detail)
    }

    /// How many in so long until now.
    pub(crate) async fn repairs(&self, window: Duration) -> Result<u64, StateError> {
        let query = RecordQuery::of(RecordKind::Audit).with("action", Some(audit::REPAIRED));
        let query = query.between(AuditId::PREFIX, Some(self.now().minus(window)), None);
        self.inner.ports.state.record_count(&query).await
    }

    pub(crate) fn audited_for(
        &self,
        actor: &Actor,
        tenant: Option<TenantName>,
        action: &str,
        target: impl ToString,
        detail: Value,
    ) -> Change {
        let at = self.now();
        let id = AuditId::new(at, self.inner.ports.chance.bytes());
        let (actor, action, target) = (actor.clone(), action.to_owned(), target.to_string());
        AuditEntry { id, at, actor, action, target, detail, tenant }.change()
    }

    /// What a door does by itself, at a bucket or to the service: noted before it is done, on disk no later than it.
    pub async fn note(
        &self,
        who: &Principal,
        at: Option<&BucketName>,
        action: &str,
        target: &str,
        detail: Value,
    ) -> Result<(), CommandError> {
        let entry = match at {
            Some(bucket) => self.audited_at(who, bucket, action, target, detail),
            None => self.audited(who, action, target, detail),
        };
        self.inner.ports.state.commit(ChangeSet::new().with(entry), Durability::Lazy).await?;
        Ok(())
    }

    /// Does what a door does by itself, noted before; if nothing comes of it, a second entry says why.
    pub async fn noted<T, E: fmt::Display>(
        &self,
        who: &Principal,
        at: Option<&BucketName>,
        action: &str,
        target: &str,
        detail: Value,
        act: impl Future<Output = Result<T, E>>,
    ) -> Result<Result<T, E>, CommandError> {
        self.note(who, at, action, target, detail.clone()).await?;
        let outcome = act.await;
        if let Err(why) = &outcome {
            let mut told = detail.as_object().cloned().unwrap_or_default();
            told.insert("failed".to_owned(), why.to_string().into());
            if let Err(e) = self.note(who, at, action, target, told.into()).await {
                tracing::warn!(action, target, failed = %why, error = %e, "the audit log does not tell what an order came to");
            }
        }
        Ok(outcome)
    }

    /// Newest first, as far as it concerns the tenant of who asks.
    pub async fn audit_log(&self, who: &Principal, query: &AuditQuery) -> Result<Page<AuditEntry>, CommandError> {
        let records = RecordQuery {
            after: query.after.as_ref().map(ToString::to_string),
            limit: query.limit,
            ..RecordQuery::of(RecordKind::Audit)
        };
        let records = records
            .with("target", query.target.clone())
            .with("actor", query.actor.clone())
            .with("action", query.action.clone())
            .with("tenant", who.tenant.as_ref().map(ToString::to_string))
            .between(AuditId::PREFIX, query.since, query.until);
        let Page { items, more } = self.read_records(&records).await?;
        Ok(Page { items: items.into_iter().map(|entry| entry.value).collect(), more })
    }

    pub(crate) async fn read_record<T: Recorded>(&self, id: &str) -> Result<Option<Revised<T>>, CommandError> {
        let record = self.inner.ports.state.record(T::KIND, id).await?;
        Ok(record.map(|record| record.read().map_err(StateError::Corrupt)).transpose()?)
    }

    /// One that cannot be read, by damage or from a newer version, is left out and told to the log: it must not hold up
    /// the others.
    pub(crate) async fn read_records<T: Recorded>(
        &self,
        query: &RecordQuery,
    ) -> Result<Page<Revised<T>>, CommandError> {
        let Page { items, more } = self.inner.ports.state.records(query).await?;
        Ok(Page { items: items.into_iter().filter_map(readable).collect(), more })
    }

    /// Those whose time has come, as [`Self::read_records`].
    pub(crate) async fn read_due_records<T: Recorded>(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Revised<T>>, StateError> {
        let due = self.inner.ports.state.due_records(T::KIND, now, limit).await?;
        Ok(due.into_iter().filter_map(readable).collect())
    }

    /// Orders whose next beat is due. One that is due later than a beat from now waits for a clock that was set back since:
    /// it is due too.
    pub(crate) async fn read_due_orders<T: Recorded>(
        &self,
        beat: Duration,
        limit: u32,
    ) -> Result<Vec<Revised<T>>, StateError> {
        let (now, believed) = (self.now(), self.now().plus(beat + limits::CLOCKS_APART_MAX));
        let mut orders = self.read_due_records::<T>(END_OF_TIME, limit).await?;
        orders.retain(|order| order.value.due_at().is_some_and(|at| at <= now || at > believed));
        Ok(orders)
    }
}

fn readable<T: Recorded>(record: Record) -> Option<Revised<T>> {
    let read = record.read();
    read.inspect_err(|why| tracing::error!(error = %why, "a record cannot be read and is left out")).ok()
}
