//! Waiting receives: they end when a message is visible, by whatever way, and at their time.

use super::*;

const SOON: Duration = Duration::from_secs(20);
const LONG: Duration = Duration::from_secs(10);

fn patient() -> Receive {
    Receive { max: 10, visibility: None, wait: Some(LONG) }
}

/// What a waiting receive gets if `act` happens meanwhile.
async fn meanwhile(backend: &Backend, act: impl Future<Output = ()>) -> Result<Vec<ReceivedMessage>, MessageError> {
    let name = queue();
    let waiting = backend.messages.receive(&name, patient());
    let acting = async {
        // the receive comes first and finds nothing
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        act.await;
    };
    let both = async { futures::join!(waiting, acting).0 };
    tokio::time::timeout(SOON, both).await.expect("the wait ends")
}

/// M12
pub async fn a_wait_ends_when_a_message_is_sent(backend: Backend) {
    with_queue(&backend).await;
    let got = meanwhile(&backend, async {
        send(&backend, "x").await;
    })
    .await
    .expect("receive");
    assert_eq!(got.len(), 1);
}

/// M12
pub async fn a_wait_ends_when_a_visibility_does(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let short = Receive { visibility: Some(LONG / 2), ..wanted(1) };
    backend.messages.receive(&queue(), short).await.expect("receive");
    let got = meanwhile(&backend, backend.outside.pass(LONG / 2)).await.expect("receive");
    assert_eq!(got.iter().map(|m| m.receives).collect::<Vec<_>>(), [2]);
}

/// M12
pub async fn a_wait_ends_when_a_delay_does(backend: Backend) {
    with_queue(&backend).await;
    let taken = async {
        let later = NewMessage { delay: Some(LONG / 5), ..NewMessage::of("x") };
        backend.messages.send(&queue(), vec![later]).await.expect("send");
        backend.outside.pass(LONG / 5).await;
    };
    let got = meanwhile(&backend, taken).await.expect("receive");
    assert_eq!(got.len(), 1, "a delayed message is noticed when its delay is over");
}

/// M3, M12: whoever waits learns when a message that went to another meanwhile will be visible again.
pub async fn a_wait_ends_when_what_another_claimed_comes_back(backend: Backend) {
    with_queue(&backend).await;
    let one = Receive { max: 1, visibility: Some(LONG / 2), ..patient() };
    let name = queue();
    let (first, second) = (backend.messages.receive(&name, one), backend.messages.receive(&name, one));
    let acting = async {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        send(&backend, "x").await;
        while counts(&backend).await.in_flight == 0 {
            tokio::task::yield_now().await;
        }
        backend.outside.pass(LONG / 2).await;
    };
    let all = async { futures::join!(first, second, acting) };
    let (first, second, ()) = tokio::time::timeout(SOON, all).await.expect("both waits end");
    let mut receives: Vec<u32> = [first, second].into_iter().flatten().flatten().map(|m| m.receives).collect();
    receives.sort_unstable();
    assert_eq!(receives, [1, 2]);
}

/// M6, M12
pub async fn a_wait_ends_when_a_message_is_given_back(backend: Backend) {
    with_queue(&backend).await;
    send(&backend, "x").await;
    let held = receive_one(&backend).await;
    let given_back = async {
        let change = [(held.receipt, Duration::ZERO)];
        backend.messages.change_visibility(&queue(), &change).await.expect("change");
    };
    assert_eq!(meanwhile(&backend, given_back).await.expect("receive").len(), 1);
}

/// M8, M12
pub async fn a_wait_ends_when_a_dead_letter_comes(backend: Backend) {
    with_queue(&backend).await;
    let redrive = Some(Redrive { dead_letters: queue(), receives_max: 1 });
    create(&backend, "source", MessageQueueSettings { redrive, ..Default::default() }).await;
    backend.messages.send(&name("source"), vec![NewMessage::of("poison")]).await.expect("send");
    let none = Receive { visibility: Some(Duration::ZERO), ..wanted(1) };
    backend.messages.receive(&name("source"), none).await.expect("receive");
    let given_up = async { assert!(receive_from(&backend, "source", 1).await.is_empty()) };
    assert_eq!(meanwhile(&backend, given_up).await.expect("receive").len(), 1);
}

/// M12
pub async fn a_wait_that_got_nothing_ends_at_its_time(backend: Backend) {
    with_queue(&backend).await;
    let got = meanwhile(&backend, backend.outside.pass(LONG)).await.expect("receive");
    assert!(got.is_empty());
}

/// M12: who does not say waits as long as the queue says.
pub async fn a_queue_may_say_how_long_to_wait(backend: Backend) {
    create(&backend, "orders", MessageQueueSettings { wait: LONG, ..Default::default() }).await;
    let unsaid = Receive { wait: None, ..wanted(1) };
    let name = queue();
    let waiting = backend.messages.receive(&name, unsaid);
    let sending = async {
        send(&backend, "x").await;
    };
    let both = async { futures::join!(waiting, sending).0 };
    assert_eq!(tokio::time::timeout(SOON, both).await.expect("the wait ends").expect("receive").len(), 1);
}

/// M11, M12
pub async fn a_wait_ends_when_its_queue_is_deleted(backend: Backend) {
    with_queue(&backend).await;
    let deleted = async { backend.messages.delete_queue(&queue()).await.expect("delete") };
    let outcome = meanwhile(&backend, deleted).await;
    assert!(matches!(outcome, Err(MessageError::NotFound(_))), "{outcome:?}");
}

/// M12
pub async fn of_many_who_wait_each_gets_a_message(backend: Backend) {
    with_queue(&backend).await;
    let one = Receive { max: 1, ..patient() };
    let name = queue();
    let waiting = futures::future::join_all((0..8).map(|_| backend.messages.receive(&name, one)));
    let sending = async {
        for n in 0..8 {
            tokio::task::yield_now().await;
            send(&backend, &n.to_string()).await;
        }
    };
    let both = async { futures::join!(waiting, sending).0 };
    let got = tokio::time::timeout(SOON, both).await.expect("the waits end");
    assert!(got.iter().all(|messages| messages.as_ref().is_ok_and(|m| m.len() == 1)), "{got:?}");
}
