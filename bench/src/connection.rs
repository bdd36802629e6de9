//! A small HTTP/1.1 client on one kept-alive loopback connection: so little of it that the server is what is measured.
//!
//! It knows what the two measured servers send: bodies with a length or in chunks. Redirects, TLS and the rest it does
//! not know.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Answer {
    pub status: u16,
    pub tag: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status == status {
            return Ok(self);
        }
        bail!("answered {} where {status} was expected: {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

pub struct Connection {
    stream: TcpStream,
    /// Read and not yet used.
    ahead: Vec<u8>,
}

/// What a head says about its answer.
pub struct Head {
    pub status: u16,
    tag: Option<String>,
    pub length: Option<usize>,
    chunked: bool,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await.with_context(|| format!("cannot connect to {to}"))?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, ahead: Vec::with_capacity(64 * 1024) })
    }

    /// Sends a whole request and waits for the whole answer.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        let body = match (head.length, head.chunked) {
            (_, true) => self.all_chunks().await?,
            (Some(length), _) => self.take(length).await?,
            (None, false) => Vec::new(),
        };
        Ok(Answer { status: head.status, tag: head.tag, body })
    }

    /// Sends a request whose answer never ends; its chunks come by [`Connection::chunk`].
    pub async fn listen(&mut self, request: &[u8]) -> Result<()> {
        self.stream.write_all(request).await?;
        let head = self.head().await?;
        ensure!(head.status == 200 && head.chunked, "the feed answered {}", head.status);
        Ok(())
    }

    /// The next chunk of a chunked body; empty at its end.
    pub async fn chunk(&mut self) -> Result<Vec<u8>> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).with_context(|| format!("{line:?} is no chunk length"))?;
        let chunk = self.take(length).await?;
        self.take(2).await?;
        Ok(chunk)
    }

    async fn all_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                return Ok(body);
            }
            body.extend(chunk);
        }
    }

    async fn head(&mut self) -> Result<Head> {
        loop {
            let end = self.find(b"\r\n\r\n").await?;
            let text = String::from_utf8_lossy(&self.ahead[..end]).into_owned();
            self.ahead.drain(..end + 4);
            let head = parse(&text)?;
            if head.status != 100 {
                return Ok(head);
            }
        }
    }

    async fn line(&mut self) -> Result<String> {
        let end = self.find(b"\r\n").await?;
        let line = String::from_utf8_lossy(&self.ahead[..end]).into_owned();
        self.ahead.drain(..end + 2);
        Ok(line)
    }

    async fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < length {
            self.read().await?;
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    /// Where `what` begins; reads until it is there.
    async fn find(&mut self, what: &[u8]) -> Result<usize> {
        loop {
            if let Some(at) = self.ahead.windows(what.len()).position(|window| window == what) {
                return Ok(at);
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        let n = self.stream.read_buf(&mut self.ahead).await?;
        ensure!(n > 0, "the server closed the connection");
        Ok(())
    }
}

pub fn parse(head: &str) -> Result<Head> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let status = status.with_context(|| format!("no status in {head:?}"))?;
    let mut parsed = Head { status, tag: None, length: None, chunked: false };
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => parsed.length = Some(value.parse()?),
            "transfer-encoding" => parsed.chunked = value.eq_ignore_ascii_case("chunked"),
            "etag" => parsed.tag = Some(value.to_owned()),
            _ => {}
        }
    }
    Ok(parsed)
}
