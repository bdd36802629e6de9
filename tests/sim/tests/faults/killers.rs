//! Files that take their worker's whole process with them, as one that needs all memory would: whatever else that
//! worker had leased is lost with it. A killer ends as a dead letter after exactly five attempts, within five minutes;
//! its neighbours, which are lost and taken over together with it, all complete.

use super::places::{PREFIX, key, rule};
use async_trait::async_trait;
use filemill_core::dead_letter::DeadLetter;
use filemill_core::job::{Job, JobStatus};
use filemill_core::object::ObjectKey;
use filemill_core::record::Recorded;
use filemill_memory::{About, Call, FaultPlan, Line};
use filemill_sim::checks::sed;
use filemill_sim::cluster::{Cluster, all_ended, in_simulated_time};
use filemill_trials::trials;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const WORKERS: usize = 2;
/// One file in so many. Those that are new may still meet one another's neighbours: where they come in crowds, some
/// burn.
const KILLERS: usize = 100;
/// Reading takes so long; a killer is always faster than its neighbours, the worst that can be.
const WORK: Duration = Duration::from_secs(3);
const DEADLY_BEHIND: Duration = Duration::from_millis(500);
/// One file each.
const EVERY: Duration = Duration::from_millis(500);
/// Until somebody starts another process.
const RESTARTED_BEHIND: Duration = Duration::from_secs(1);
const ATTEMPTS: u32 = 5;
const DEAD_WITHIN: Duration = Duration::from_secs(300);

struct Mortal {
    name: String,
    victims: mpsc::UnboundedSender<String>,
}

fn is_killer(key: &ObjectKey) -> bool {
    key.starts_with("killer")
}

#[async_trait]
impl Line for Mortal {
    async fn there(&self, call: &Call) {
        let About::Object { key, .. } = &call.about else { return };
        if !is_killer(key) {
            return tokio::time::sleep(WORK).await;
        }
        tokio::time::sleep(DEADLY_BEHIND).await;
        // one of its tasks is enough, and several may come to it
        let _is_dying_already = self.victims.send(self.name.clone());
        std::future::pending().await
    }
}

#[test]
fn a_file_that_kills_its_workers_ends_as_a_dead_letter_and_burns_no_neighbour() {
    in_simulated_time(kill_workers(trials(100, 1_000)));
}

async fn kill_workers(files: usize) {
    let cluster = Cluster::new(FaultPlan::none(), rule(), |_| ());
    cluster.prepare().await;
    let (victims, mut dying) = mpsc::unbounded_channel();
    let hire = |name: &str| {
        let line = Mortal { name: name.to_owned(), victims: victims.clone() };
        cluster.start(name, cluster.engine(name, Some(Arc::new(line)), None));
    };
    (0..WORKERS).for_each(|number| hire(&format!("worker-{number}")));
    let deaths = std::cell::Cell::new(0);
    let killing = async {
        while let Some(victim) = dying.recv().await {
            if !cluster.is_running(&victim) {
                continue;
            }
            cluster.kill(&victim).await;
            deaths.set(deaths.get() + 1);
            tokio::time::sleep(RESTARTED_BEHIND).await;
            hire(&format!("worker-{}", WORKERS + deaths.get() - 1));
        }
    };
    let working = async {
        for number in 0..files {
            let name = if number % KILLERS == KILLERS / 2 { "killer" } else { "good" };
            cluster.put(&key(&format!("{name}-{number}")), number.to_string().into()).await;
            tokio::time::sleep(EVERY).await;
        }
        cluster.until(|snapshot| all_ended(snapshot, files)).await
    };
    let snapshot = tokio::select! {
        snapshot = working => snapshot,
        () = killing => unreachable!("a sender is here"),
    };

    let (killers, good): (Vec<&Job>, Vec<&Job>) = snapshot.jobs.iter().partition(|job| is_killer(&job.input.key));
    let took = |job: &&Job| job.finished_at.expect("it has ended").since(job.created_at);
    let burnt = good.iter().filter(|job| job.status != JobStatus::Completed).count();
    let most = good.iter().map(|job| job.attempts).max().expect("some are good");
    eprintln!(
        "{files} files, {} killers, {} workers lost; slowest dead letter {:?}; of the good ones {burnt} burnt, slowest \
         {:?}, {most} attempts at most",
        killers.len(),
        deaths.get(),
        killers.iter().map(took).max().expect("some kill"),
        good.iter().map(took).max().expect("some are good"),
    );
    assert!(deaths.get() <= killers.len() * ATTEMPTS as usize, "only killers cost workers");
    for job in &killers {
        assert_eq!((job.status, job.attempts), (JobStatus::Failed, ATTEMPTS), "{job:?}");
        assert_eq!(job.failure.as_ref().map(|failure| &*failure.code), Some("worker_lost"), "{job:?}");
        assert!(took(job) <= DEAD_WITHIN, "{job:?}");
    }
    let letters = snapshot.records.iter().filter(|record| record.kind == DeadLetter::KIND).count();
    assert_eq!((letters, burnt), (killers.len(), 0));
    for job in good {
        let number = job.input.key.rsplit('-').next().expect("a number");
        assert_eq!(cluster.result(&job.input.key), sed(PREFIX, number.as_bytes()), "{job:?}");
    }
}
