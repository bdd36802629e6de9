//! A Redis stream with a consumer group: XADD, XREADGROUP, then XACK and XDEL in one message. A few lines of its protocol.

use super::Client;
use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const STREAM: &str = "filemill-bench";

pub struct RedisClient {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
enum Reply {
    Text(String),
    List(Vec<Reply>),
    Nothing,
}

impl Reply {
    fn text(&self) -> Result<&str> {
        if let Reply::Text(text) = self { Ok(text) } else { bail!("no text: {self:?}") }
    }

    fn at(&self, index: usize) -> Result<&Reply> {
        let Reply::List(items) = self else { bail!("no list: {self:?}") };
        items.get(index).context("a short list")
    }
}

impl RedisClient {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot reach Redis")?;
        stream.set_nodelay(true)?;
        Ok(RedisClient { stream: BufReader::new(stream) })
    }

    async fn call(&mut self, words: &[&str]) -> Result<Reply> {
        self.stream.write_all(&command(words)).await?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let (kind, rest) = line.trim_end().split_at_checked(1).context("Redis closed the connection")?;
        match kind {
            "+" | ":" => Ok(Reply::Text(rest.to_owned())),
            "-" => bail!("Redis: {rest}"),
            "$" | "*" if rest == "-1" => Ok(Reply::Nothing),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>()? + 2];
                self.stream.read_exact(&mut bytes).await?;
                bytes.truncate(bytes.len() - 2);
                Ok(Reply::Text(String::from_utf8(bytes)?))
            }
            "*" => {
                let mut items = Vec::new();
                for _ in 0..rest.parse::<usize>()? {
                    items.push(Box::pin(self.reply()).await?);
                }
                Ok(Reply::List(items))
            }
            _ => bail!("not Redis: {line:?}"),
        }
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut text = format!("*{}\r\n", words.len());
    for word in words {
        text.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    text.into_bytes()
}

/// An empty stream, by a server that syncs before it answers.
pub async fn prepare(address: SocketAddr) -> Result<()> {
    let mut client = RedisClient::open(address).await?;
    for (setting, wanted) in [("appendonly", "yes"), ("appendfsync", "always")] {
        let value = client.call(&["CONFIG", "GET", setting]).await?;
        ensure!(value.at(1)?.text()? == wanted, "Redis has {setting} = {value:?}; it must be {wanted}");
    }
    client.call(&["DEL", STREAM]).await?;
    client.call(&["XGROUP", "CREATE", STREAM, "group", "0", "MKSTREAM"]).await?;
    Ok(())
}

pub async fn clients(address: SocketAddr, count: usize) -> Result<Vec<Box<dyn Client>>> {
    let mut clients: Vec<Box<dyn Client>> = Vec::new();
    for _ in 0..count {
        clients.push(Box::new(RedisClient::open(address).await?));
    }
    Ok(clients)
}

pub async fn expect_empty(address: SocketAddr) -> Result<()> {
    let left = RedisClient::open(address).await?.call(&["XLEN", STREAM]).await?;
    ensure!(left.text()? == "0", "messages are left in Redis: {left:?}");
    Ok(())
}

#[async_trait(?Send)]
impl Client for RedisClient {
    async fn cycle(&mut self, body: &str) -> Result<()> {
        self.call(&["XADD", STREAM, "*", "body", body]).await?;
        let read = ["XREADGROUP", "GROUP", "group", "client", "COUNT", "1", "STREAMS", STREAM, ">"];
        let got = loop {
            match self.call(&read).await? {
                Reply::Nothing => {}
                got => break got,
            }
        };
        let message = got.at(0)?.at(1)?.at(0)?;
        let (id, came) = (message.at(0)?.text()?, message.at(1)?.at(1)?.text()?);
        ensure!(came == body, "another body came");
        let end = [command(&["XACK", STREAM, "group", id]), command(&["XDEL", STREAM, id])].concat();
        self.stream.write_all(&end).await?;
        self.reply().await?;
        self.reply().await?;
        Ok(())
    }
}
