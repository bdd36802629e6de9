//! The life of a delivery, walked through in time.

use super::*;
use crate::ids::NoticeId;
use crate::notice::NoticeKind;
use crate::rule::Name;
use std::time::Duration;

const NOON: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn notice() -> Notice {
    let kind = NoticeKind::JobFailed;
    let id = NoticeId::of("job/1", kind.as_str(), 1, NOON);
    let data = serde_json::json!({});
    Notice { id, kind, at: NOON, about: "job".into(), job: None, upload: None, rule: None, of: None, data }
}

fn delivery() -> Delivery {
    Delivery::new(notice(), Receiver::Webhook { name: Name::parse("hooks").expect("a name") })
}

fn down() -> NotifyError {
    NotifyError::transient("no connection")
}

fn after(secs: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(secs))
}

/// Fails at each of its own times until it is dead; answers when it was tried.
fn tries(chance: u64) -> Vec<u64> {
    let (mut delivery, mut tries) = (delivery(), Vec::new());
    while let Some(at) = delivery.due_at {
        tries.push(at.since(NOON).as_secs());
        delivery = delivery.claimed(at).failed(&down(), at, chance);
    }
    assert_eq!(delivery.status, DeliveryStatus::Dead);
    assert_eq!(delivery.attempts as usize, tries.len());
    tries
}

#[test]
fn it_is_tried_about_twelve_times_in_a_day_and_then_dead() {
    for chance in [0, u64::MAX / 2, u64::MAX] {
        let tries = tries(chance);
        assert!((12..=16).contains(&tries.len()), "{tries:?}");
        assert_eq!((tries[0], tries.last()), (0, Some(&(24 * 3600))));
        assert!((3..=5).contains(&tries[1]), "{tries:?}");
    }
}

#[test]
fn a_claimed_one_is_nobody_else_s_until_the_claim_is_over() {
    let claimed = delivery().claimed(NOON);
    let lane = Lane::default();
    assert!(delivery().is_ready(&lane, NOON) && !claimed.is_ready(&lane, after(44)));
    assert!(claimed.is_ready(&lane, after(45)), "whoever claimed it crashed");
    assert_eq!(claimed.attempts, 1);
    assert_eq!(claimed.notice, delivery().notice, "it is sent again as it was");
}

#[test]
fn one_that_failed_waits_for_its_time_unless_its_receiver_comes_back() {
    let mut lane = Lane::default();
    let mut failed = delivery();
    for at in [0, 5, 20, 65] {
        failed = failed.claimed(after(at)).failed(&down(), after(at), 0);
        lane.started();
        lane.ended(Err(&down()), after(at), 0);
    }
    assert!(failed.due_at > Some(after(190)), "{failed:?}");
    assert!(failed.is_ready(&lane, after(90)), "it may find out whether the receiver is back");
    assert!(!failed.is_ready(&lane, after(80)), "but not all the time");
    assert!(!failed.is_ready(&Lane::default(), after(90)), "nothing is known of the receiver");
    lane.started();
    lane.ended(Ok(&()), after(95), 0);
    assert!(failed.is_ready(&lane, after(96)));
    let refused = failed.claimed(after(96)).failed(&down(), after(97), 0);
    assert_eq!((refused.due_at, refused.failures), (failed.due_at, failed.failures), "its own time stays");
    assert!(!refused.is_ready(&lane, after(150)), "the receiver came back before this try");
}

#[test]
fn what_is_refused_for_good_is_dead_at_once_and_can_be_sent_again_by_hand() {
    let dead = delivery().claimed(NOON).failed(&NotifyError::permanent("410 Gone"), NOON, 0);
    assert_eq!((dead.status, dead.due_at, dead.ended_at), (DeliveryStatus::Dead, None, Some(NOON)));
    assert!(!dead.fields().contains_key("lane") && dead.fields()["status"] == "dead");
    let again = dead.resent(after(100_000)).expect("resent");
    assert_eq!((again.status, again.due_at, again.failures), (DeliveryStatus::Pending, Some(after(100_000)), 0));
    assert_eq!(again.notice.id, dead.notice.id, "receivers know it again");
    assert!(again.gives_up_at > after(180_000) && again.is_ready(&Lane::default(), after(100_000)));
}

#[test]
fn a_receiver_s_wish_for_time_is_granted_within_reason() {
    let asks = |secs| NotifyError::Transient { message: "429".into(), retry_after: Some(Duration::from_secs(secs)) };
    let due = |secs| delivery().claimed(NOON).failed(&asks(secs), NOON, 0).due_at;
    assert_eq!((due(1), due(90), due(1_000_000)), (Some(after(5)), Some(after(90)), Some(after(3600))));
}

#[test]
fn the_live_feed_has_it_when_it_is_stored() {
    let live = Delivery::new(notice(), Receiver::Live);
    assert_eq!((live.status, live.due_at, live.ended_at), (DeliveryStatus::Delivered, None, Some(NOON)));
    assert!(live.resent(NOON).is_err());
}

#[test]
fn it_survives_its_json() {
    let record = delivery().claimed(NOON).record(2);
    assert_eq!(record.read::<Delivery>().expect("a delivery").value, delivery().claimed(NOON));
}
