//! Our queues through the SQS protocol: HTTP on a kept-alive connection, every request signed anew on this thread.

use super::Client;
use crate::connection::Connection;
use crate::service::Service;
use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use filemill_core::time::Timestamp;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct DoorClient {
    connection: Connection,
    signer: Signer,
    queue: String,
}

impl DoorClient {
    pub async fn open(service: &Service) -> Result<Self> {
        let host = service.s3.to_string();
        let signer = Signer { host, key: service.key.clone(), secret: service.secret.clone() };
        let mut client = DoorClient { connection: Connection::open(service.s3).await?, signer, queue: String::new() };
        let made = client.call("CreateQueue", json!({ "QueueName": "bench" })).await?;
        client.queue = made["QueueUrl"].as_str().context("no URL")?.to_owned();
        Ok(client)
    }

    async fn call(&mut self, action: &str, input: Value) -> Result<Value> {
        let answer = self.connection.ask(&self.signer.request(action, &input.to_string())).await?.expect(200)?;
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

#[async_trait(?Send)]
impl Client for DoorClient {
    async fn cycle(&mut self, body: &str) -> Result<()> {
        let queue = self.queue.clone();
        self.call("SendMessage", json!({ "QueueUrl": queue, "MessageBody": body })).await?;
        let got = self.call("ReceiveMessage", json!({ "QueueUrl": queue, "WaitTimeSeconds": 20 })).await?;
        let message = &got["Messages"][0];
        ensure!(message["Body"] == body, "another body came: {got}");
        let receipt = message["ReceiptHandle"].clone();
        self.call("DeleteMessage", json!({ "QueueUrl": queue, "ReceiptHandle": receipt })).await?;
        Ok(())
    }
}

struct Signer {
    host: String,
    key: String,
    secret: String,
}

impl Signer {
    fn request(&self, action: &str, body: &str) -> Vec<u8> {
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let now = Timestamp::from_millis(i64::try_from(millis).unwrap_or(i64::MAX)).to_string();
        let digits: String = now.chars().take(19).filter(|c| !matches!(c, '-' | ':')).collect();
        let (date, day) = (format!("{digits}Z"), &digits[..8]);
        let (host, target) = (&self.host, format!("AmazonSQS.{action}"));
        let names = "host;x-amz-date;x-amz-target";
        let canonical =
            format!("POST\n/\n\nhost:{host}\nx-amz-date:{date}\nx-amz-target:{target}\n\n{names}\n{}", sha256(body));
        let scope = format!("{day}/local/sqs/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", sha256(&canonical));
        let key = [day, "local", "sqs", "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", self.secret).into_bytes(), |key, part| hmac(&key, part));
        let signature = hex::encode(hmac(&key, &text));
        format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nx-amz-date: {date}\r\nx-amz-target: {target}\r\n\
             authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\
             content-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        )
        .into_bytes()
    }
}

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
