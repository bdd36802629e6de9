//! Large bodies on blocking sockets: sent by the kernel from file to socket, received and compared piece by piece.

use crate::connection::parse;
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Sends `head` and then a file, which the kernel moves by itself; answers the status.
pub fn send_file(to: SocketAddr, head: &[u8], file: &mut File) -> Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    stream.write_all(head)?;
    io::copy(file, &mut stream)?;
    let mut answer = [0; 4096];
    let n = stream.read(&mut answer)?;
    Ok(parse(&String::from_utf8_lossy(&answer[..n]))?.status)
}

/// Asks for a body and compares it with a file, byte for byte.
pub fn compare_with_file(from: SocketAddr, request: &[u8], file: &mut File) -> Result<()> {
    let mut stream = TcpStream::connect(from)?;
    stream.write_all(request)?;
    let mut seen = vec![0; 1 << 20];
    let mut filled = 0;
    let head_end = loop {
        let n = stream.read(&mut seen[filled..])?;
        ensure!(n > 0, "no answer");
        filled += n;
        if let Some(at) = seen[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
    };
    let head = parse(&String::from_utf8_lossy(&seen[..head_end]))?;
    ensure!(head.status == 200, "answered {}", head.status);
    let length = head.length.context("an answer without a length")? as u64;
    ensure!(length == file.metadata()?.len(), "{length} bytes came, {} were expected", file.metadata()?.len());
    let first = seen[head_end + 4..filled].to_vec();
    equal(&mut first.chain(stream.take(length - (filled - head_end - 4) as u64)), file)
}

/// Two readers give the same bytes.
pub fn equal(a: &mut impl Read, b: &mut impl Read) -> Result<()> {
    let (mut left, mut right) = (vec![0; 1 << 18], vec![0; 1 << 18]);
    let mut at = 0;
    loop {
        let n = a.read(&mut left)?;
        if n == 0 {
            ensure!(b.read(&mut right)? == 0, "the second is longer than {at} bytes");
            return Ok(());
        }
        b.read_exact(&mut right[..n]).context("the second is shorter")?;
        ensure!(left[..n] == right[..n], "a difference behind byte {at}");
        at += n;
    }
}
