//! A connection that is kept, for requests that were written by hand.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Far beyond what the law allows.
const HANGS: Duration = Duration::from_secs(20);

pub struct Wire {
    address: SocketAddr,
    stream: Option<TcpStream>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// Neither secret nor anything else that nobody may read.
    pub fn tells(&self, secret: &str) -> bool {
        self.head.contains(secret) || memchr::memmem::find(&self.body, secret.as_bytes()).is_some()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub fn to(address: SocketAddr) -> Self {
        Wire { address, stream: None }
    }

    /// `head` ends with its empty line.
    pub async fn exchange(&mut self, head: &[u8], body: &[u8]) -> Result<Answer, String> {
        let whole = [head, body].concat();
        let within = tokio::time::timeout(HANGS, self.try_both(&whole));
        within.await.unwrap_or_else(|_| Err("no answer comes".to_owned()))
    }

    /// A kept connection may have ended meanwhile; a new one may not.
    async fn try_both(&mut self, whole: &[u8]) -> Result<Answer, String> {
        if let Some(stream) = self.stream.take()
            && let Ok(answer) = self.try_on(stream, whole).await
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.address).await.map_err(|e| format!("cannot connect: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        self.try_on(stream, whole).await
    }

    async fn try_on(&mut self, mut stream: TcpStream, whole: &[u8]) -> Result<Answer, String> {
        let ((answer, may_stay), was_written) = Self::exchange_on(&mut stream, whole).await?;
        if may_stay && was_written {
            self.stream = Some(stream);
        }
        Ok(answer)
    }

    async fn exchange_on(stream: &mut TcpStream, whole: &[u8]) -> Result<((Answer, bool), bool), String> {
        let (mut reader, mut writer) = stream.split();
        // a refusal may come, and the connection go, before everything is written
        let reading = read(&mut reader, whole.starts_with(b"HEAD "));
        tokio::pin!(reading);
        tokio::select! {
            answer = &mut reading => Ok((answer?, false)),
            written = writer.write_all(whole) => Ok((reading.await?, written.is_ok())),
        }
    }
}

/// An answer, and whether the connection may be used again.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), is_head: bool) -> Result<(Answer, bool), String> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.map_err(|e| e.to_string())? == 0 {
            return Err(format!("the connection ends after {} bytes", bytes.len()));
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let mut body = bytes.split_off(head_end + 4);
    let status: u16 = head.split(' ').nth(1).and_then(|text| text.parse().ok()).ok_or("no status")?;
    let header = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let length: Option<usize> = header("content-length").and_then(|text| text.parse().ok());
    let is_chunked = header("transfer-encoding").is_some();
    let may_stay =
        header("connection") != Some("close") && (length.is_some() || is_chunked || is_head || status == 204);
    loop {
        let is_whole = match length {
            _ if is_head || status == 204 || status == 304 => true,
            Some(length) => body.len() >= length,
            None => is_chunked && body.ends_with(b"0\r\n\r\n"),
        };
        if is_whole {
            return Ok((Answer { status, head, body }, may_stay));
        }
        if stream.read_buf(&mut body).await.map_err(|e| e.to_string())? == 0 {
            let ended = length.is_none() && !is_chunked;
            return if ended { Ok((Answer { status, head, body }, false)) } else { Err("half an answer".to_owned()) };
        }
    }
}

/// Changes one or two lines of a head, but for those that say how long the body is. The head stays whole.
pub fn spoil_head(head: &str, words: &[&str], spoiler: &mut crate::spoiler::Spoiler) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = head.trim_end().split("\r\n").map(|line| line.as_bytes().to_vec()).collect();
    for _ in 0..=spoiler.below(2) {
        let at = spoiler.below(lines.len());
        let line = String::from_utf8_lossy(&lines[at]).into_owned();
        let (name, value, end) = match line.split_once(": ") {
            Some(("content-length", _)) => continue,
            Some((name, value)) => (format!("{name}: "), value.to_owned(), ""),
            None => {
                let mut parts = line.splitn(3, ' ');
                let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
                (format!("{method} "), target.to_owned(), " HTTP/1.1")
            }
        };
        let mut spoilt = spoiler.bytes(value.as_bytes(), words, 4000);
        let is_target = !end.is_empty();
        spoilt.retain(|b| !matches!(b, b'\r' | b'\n') && !(is_target && (*b == b' ' || *b < 0x21)));
        if is_target && spoilt.first() != Some(&b'/') {
            spoilt.insert(0, b'/');
        }
        lines[at] = [name.as_bytes(), &spoilt, end.as_bytes()].concat();
        if spoiler.one_in(12) && !is_target {
            let line = lines[at].clone();
            lines.push(line);
        }
    }
    lines.push(Vec::new());
    lines.push(Vec::new());
    lines.join(&b"\r\n"[..])
}
