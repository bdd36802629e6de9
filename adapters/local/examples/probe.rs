use filemill_core::limits::KIB;
use filemill_core::object::*;
use filemill_core::ports::*;
use filemill_core::time::Timestamp;
use filemill_local::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
struct C;
#[async_trait::async_trait]
impl Clock for C {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("t").as_millis() as i64,
        )
    }
    async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await
    }
}
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let dir = std::env::args().nth(1).expect("dir");
    let c: usize = std::env::args().nth(2).map_or(64, |s| s.parse().expect("n"));
    let t = Instant::now();
    let s = LocalStore::open(LocalConfig::new(&dir, Arc::new(C))).expect("open");
    println!("open {:?} {:?}", t.elapsed(), s.recovered());
    let b = BucketName::parse("uploads").expect("b");
    let _ = s.create_bucket(&b).await;
    for d in [Durability::Synced, Durability::Lazy] {
        let before = s.write_counts();
        let t = Instant::now();
        let n = 20000 / c;
        let mut hs = vec![];
        for w in 0..c {
            let (s, b) = (s.clone(), b.clone());
            hs.push(tokio::spawn(async move {
                let mut lat = vec![];
                for i in 0..n {
                    let t = Instant::now();
                    let key = ObjectKey::parse(&format!("k/{w}/{i}")).expect("k");
                    let put = PutObject {
                        bucket: b.clone(),
                        key,
                        attributes: Attributes::default(),
                        checksums: Default::default(),
                        etag: None,
                        condition: Precondition::None,
                    };
                    s.put(put, Staged::inline(vec![w as u8; KIB as usize].into()), d).await.expect("put");
                    lat.push(t.elapsed());
                }
                lat
            }));
        }
        let mut lat = vec![];
        for h in hs {
            lat.extend(h.await.expect("h"));
        }
        lat.sort();
        let e = t.elapsed();
        let after = s.write_counts();
        println!(
            "{d:?} c={c}: {:.0}/s p50 {:?} p99 {:?} groups {}",
            lat.len() as f64 / e.as_secs_f64(),
            lat[lat.len() / 2],
            lat[lat.len() * 99 / 100],
            after.groups - before.groups
        );
    }
    let t = Instant::now();
    let mut n = 0;
    loop {
        let a = s.announcements(64).await.expect("a");
        if a.is_empty() {
            break;
        }
        n += a.len();
        s.acknowledge(&a.iter().map(|a| a.id).collect::<Vec<_>>()).await.expect("ack");
    }
    println!("ack {n}: {:?}", t.elapsed());
    let t = Instant::now();
    for i in 0..2000 {
        let _ = s.head(&b, &ObjectKey::parse(&format!("k/0/{}", i % 300)).expect("k")).await;
    }
    println!("head {:?} each", t.elapsed() / 2000);
    let status = std::fs::read_to_string("/proc/self/status").expect("s");
    for l in status.lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssA") || l.starts_with("VmHWM")) {
        println!("{l}");
    }
    let t = Instant::now();
    drop(s);
    println!("close {:?}", t.elapsed());
}
