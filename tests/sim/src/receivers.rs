//! Receivers beyond the service: they are down, slow, lose replies and refuse for good, from the seed. They note what they
//! took, which the checkers judge by.

use filemill_core::notice::{NoticeKind, Receiver};
use filemill_core::notify::{NotifyRule, NotifyRules};
use filemill_core::ports::{Notifier, NotifyError, Parcel};
use filemill_core::rule::Name;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// From the start: behind this they only refuse. Back-off doubles, so whoever still failed in the calm could outlast
/// it.
const FAIL_FOR: Duration = Duration::from_secs(600);
/// Told of every end; and one that refuses a few notices for good.
pub const HOOKS: [&str; 2] = ["steady", "choosy"];
/// It refuses those whose id ends so.
const REFUSED: [char; 4] = ['0', '1', '2', '3'];

pub fn rules() -> NotifyRules {
    let rule =
        |name: &str| NotifyRule { on: NoticeKind::OF_JOBS.to_vec(), receiver: hook(name), rule: None, bucket: None };
    NotifyRules::new(HOOKS.map(rule).to_vec()).expect("few")
}

pub fn hook(name: &str) -> Receiver {
    Receiver::Webhook { name: Name::parse(name).expect("a name") }
}

/// What a receiver took: its lane and the notice's id; with the idempotency keys it came with, in order.
pub type Taken = BTreeMap<(String, String), Vec<String>>;

pub struct SimReceivers {
    chance: Mutex<SmallRng>,
    /// From the start: nobody answers meanwhile.
    outages: Vec<(Duration, Duration)>,
    is_calm: bool,
    start: Instant,
    taken: Mutex<Taken>,
    /// Lane and notice, in order.
    order: Mutex<Vec<(String, String)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn refuses(lane: &str, notice: &str) -> bool {
    lane == hook(HOOKS[1]).lane() && notice.ends_with(REFUSED)
}

impl SimReceivers {
    pub fn new(seed: u64, is_calm: bool) -> Self {
        let mut chance = SmallRng::seed_from_u64(seed ^ 0x7e11_7e11);
        let mut outage = || {
            let from = Duration::from_secs(chance.random_range(0..120));
            (from, from + Duration::from_secs(chance.random_range(1..90)))
        };
        let outages = if is_calm { Vec::new() } else { vec![outage(), outage()] };
        let (taken, order) = Default::default();
        SimReceivers { chance: Mutex::new(chance), outages, is_calm, start: Instant::now(), taken, order }
    }

    pub fn taken(&self) -> Taken {
        locked(&self.taken).clone()
    }

    pub fn order(&self) -> Vec<(String, String)> {
        locked(&self.order).clone()
    }

    fn take(&self, lane: &str, parcel: &Parcel) {
        for notice in &parcel.notices {
            let what = (lane.to_owned(), notice.id.to_string());
            locked(&self.taken).entry(what.clone()).or_default().push(parcel.idempotency_key.clone());
            locked(&self.order).push(what);
        }
    }
}

#[async_trait::async_trait]
impl Notifier for SimReceivers {
    async fn deliver(&self, parcel: &Parcel) -> Result<(), NotifyError> {
        let passed = self.start.elapsed();
        let is_well = passed >= FAIL_FOR;
        let (millis, dice) = {
            let mut chance = locked(&self.chance);
            let is_slow = chance.random_ratio(1, 20) && !is_well;
            let millis = if is_slow { 30_000 } else { chance.random_range(1..3000) };
            (millis, chance.random_range(0..10))
        };
        let lane = parcel.receiver.lane();
        if self.outages.iter().any(|(from, to)| (*from..*to).contains(&passed)) {
            return Err(NotifyError::transient("no connection"));
        }
        if parcel.notices.iter().any(|notice| refuses(&lane, notice.id.as_str())) {
            return Err(NotifyError::permanent("410"));
        }
        match dice {
            _ if self.is_calm || is_well => {}
            0 => {
                return Err(NotifyError::Transient {
                    message: "429".into(),
                    retry_after: Some(Duration::from_secs(7)),
                });
            }
            1 => {
                // taken, and the reply is lost
                self.take(&lane, parcel);
                return Err(NotifyError::transient("the connection broke"));
            }
            _ => {}
        }
        self.take(&lane, parcel);
        // whoever asked may die, or stop waiting, before it hears
        tokio::time::sleep(Duration::from_millis(millis)).await;
        Ok(())
    }

    fn receiver_of_upload(&self, _: &str) -> Result<Receiver, String> {
        Err("no".to_owned())
    }
}
