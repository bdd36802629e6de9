//! What one worker takes at a time, on a store whose answers never make it wait: there a worker leases again before what it
//! leased has begun.

use filemill_core::chunks::ChunkLimits;
use filemill_core::task::TaskKind;
use filemill_memory::FaultPlan;
use filemill_sim::SlowReads;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time, text};
use serde_json::json;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_worker_has_no_more_chunks_than_it_has_room_for() {
    let rule = json!({
        "id": "hello", "from": "uploads", "process": { "kind": "lines.prefix", "text": "> " },
        "output": { "bucket": "results" },
    });
    let cluster = || {
        Cluster::new(FaultPlan::none(), rule, |config| {
            config.chunk_limits = ChunkLimits { chunk_bytes: 64, chunks_max: 100 };
            config.chunks_max = 3;
        })
    };
    in_simulated_time(async {
        let cluster = cluster();
        let line = Arc::new(SlowReads(|_| Some(Duration::from_millis(2500))));
        cluster.prepare().await;
        cluster.start("worker", cluster.engine("worker", Some(line), None));
        cluster.put("k", text(1, 20 * 64)).await;
        let most = Cell::new(0);
        let snapshot = cluster.until(|snapshot| {
            let is_taken = |task: &&filemill_core::task::Task| task.id.kind == TaskKind::Chunk && task.claim.is_some();
            most.set(most.get().max(snapshot.tasks.iter().filter(is_taken).count()));
            all_ended(snapshot, 1)
        });
        let snapshot = snapshot.await;
        assert_eq!((most.get(), snapshot.jobs[0].chunks_done), (3, 20));
    });
}
