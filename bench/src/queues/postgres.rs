//! The queue that people build on PostgreSQL: INSERT, UPDATE with SKIP LOCKED, DELETE, each its own transaction.

use super::Client;
use anyhow::{Result, ensure};
use async_trait::async_trait;
use tokio_postgres::{NoTls, Statement};

const TABLE: &str = "
    DROP TABLE IF EXISTS filemill_bench;
    CREATE TABLE filemill_bench (
        id         bigserial PRIMARY KEY,
        visible_at timestamptz NOT NULL DEFAULT now(),
        receives   integer NOT NULL DEFAULT 0,
        body       text NOT NULL
    );
    CREATE INDEX ON filemill_bench (visible_at)";
const SEND: &str = "INSERT INTO filemill_bench (body) VALUES ($1)";
const CLAIM: &str = "UPDATE filemill_bench SET visible_at = now() + interval '30 seconds', receives = receives + 1
    WHERE id = (SELECT id FROM filemill_bench WHERE visible_at <= now() ORDER BY visible_at LIMIT 1
        FOR UPDATE SKIP LOCKED)
    RETURNING id, body";
const END: &str = "DELETE FROM filemill_bench WHERE id = $1";

pub struct PostgresClient {
    client: tokio_postgres::Client,
    send: Statement,
    claim: Statement,
    end: Statement,
}

async fn connect(url: &str) -> Result<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A fresh table, by a server that syncs what it commits.
pub async fn prepare(url: &str) -> Result<()> {
    let client = connect(url).await?;
    for setting in ["fsync", "synchronous_commit"] {
        let value: String = client.query_one(&format!("SHOW {setting}"), &[]).await?.get(0);
        ensure!(value == "on", "PostgreSQL has {setting} = {value}; it must be on");
    }
    Ok(client.batch_execute(TABLE).await?)
}

pub async fn clients(url: &str, count: usize) -> Result<Vec<Box<dyn Client>>> {
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    for _ in 0..count {
        let client = connect(url).await?;
        let (send, claim, end) =
            (client.prepare(SEND).await?, client.prepare(CLAIM).await?, client.prepare(END).await?);
        clients.push(Box::new(PostgresClient { client, send, claim, end }));
    }
    Ok(clients)
}

pub async fn expect_empty(url: &str) -> Result<()> {
    let count: i64 = connect(url).await?.query_one("SELECT count(*) FROM filemill_bench", &[]).await?.get(0);
    ensure!(count == 0, "{count} rows are left in PostgreSQL");
    Ok(())
}

#[async_trait(?Send)]
impl Client for PostgresClient {
    async fn cycle(&mut self, body: &str) -> Result<()> {
        self.client.execute(&self.send, &[&body]).await?;
        let row = loop {
            if let Some(row) = self.client.query_opt(&self.claim, &[]).await? {
                break row;
            }
        };
        let (id, came): (i64, String) = (row.get(0), row.get(1));
        ensure!(came == body, "another body came");
        ensure!(self.client.execute(&self.end, &[&id]).await? == 1, "a row was ended twice");
        Ok(())
    }
}
