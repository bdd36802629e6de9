//! Many requests over some connections, each connection one request at a time.

use crate::connection::Connection;
use anyhow::Result;
use futures::future::try_join_all;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long all took, and each.
pub struct Load {
    pub wall: Duration,
    pub each_ms: Vec<f64>,
}

/// Connections are open and requests made before the clock starts.
pub async fn drive(to: SocketAddr, connections: usize, requests: Vec<Vec<u8>>) -> Result<Load> {
    let open = try_join_all((0..connections).map(|_| Connection::open(to))).await?;
    let each_ms = RefCell::new(Vec::with_capacity(requests.len()));
    let waiting = RefCell::new(requests.into_iter());
    let begun = Instant::now();
    let clients = open.into_iter().map(|mut connection| {
        let (waiting, each_ms) = (&waiting, &each_ms);
        async move {
            loop {
                let Some(request) = waiting.borrow_mut().next() else { return anyhow::Ok(()) };
                let asked = Instant::now();
                connection.ask(&request).await?.expect(200)?;
                each_ms.borrow_mut().push(asked.elapsed().as_secs_f64() * 1000.0);
            }
        }
    });
    try_join_all(clients).await?;
    Ok(Load { wall: begun.elapsed(), each_ms: each_ms.into_inner() })
}

/// Bodies of all answers, in the order of the requests.
pub async fn fetch(from: SocketAddr, requests: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
    let mut connection = Connection::open(from).await?;
    let mut bodies = Vec::with_capacity(requests.len());
    for request in requests {
        bodies.push(connection.ask(request).await?.expect(200)?.body);
    }
    Ok(bodies)
}
