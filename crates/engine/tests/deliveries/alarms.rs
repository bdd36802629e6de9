//! Alarms: raised by what is stored, told once, resolved.

use super::*;
use filemill_core::alarm::{AlarmStatus, Bound, Metric};
use filemill_engine::AlarmHistoryQuery;

fn errors() -> AlarmRule {
    AlarmRule {
        id: Name::parse("errors").expect("a name"),
        metric: Metric::JobErrorRate,
        bound: Bound::AtLeast(5.0),
        queue: None,
        rule: None,
        lasts: MINUTE,
        window: 5 * MINUTE,
        notify: vec![hook("ops")],
        repeat: None,
        resolve: true,
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_rate_raises_an_alarm_once_and_resolves_it_when_the_window_has_passed() {
    let service = service_with(&[], vec![errors()], always(|_, _| Ok(()))).await;
    service.put("1.bad").await;
    service.until(3 * MINUTE).await;
    let now = service.engine.alarms().await.expect("alarms").remove(0);
    assert_eq!((now.state.status, now.value, now.state.of.as_deref()), (AlarmStatus::Raised, 100.0, Some("json")));
    service.until(10 * MINUTE).await;
    let told: Vec<String> = service.all().await.iter().map(|d| d.notice.kind.to_string()).collect();
    assert_eq!(told, ["alarm.raised", "alarm.resolved"]);
    let calls = service.calls();
    assert_eq!(calls.len(), 2, "each is sent once");
    let query = AlarmHistoryQuery { limit: 10, ..AlarmHistoryQuery::default() };
    let history = service.engine.alarm_history(&query).await.expect("history").items;
    let became: Vec<AlarmStatus> = history.iter().map(|change| change.to).collect();
    assert_eq!(became, [AlarmStatus::Ok, AlarmStatus::Raised], "newest first");
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_was_raised_and_tells_it_no_second_time() {
    let mut service = service_with(&[], vec![errors()], always(|_, _| Ok(()))).await;
    service.put("1.bad").await;
    service.until(2 * MINUTE).await;
    service.crash().await;
    service.start();
    service.until(4 * MINUTE).await;
    assert_eq!(service.calls().len(), 1);
    assert_eq!(service.engine.alarms().await.expect("alarms")[0].state.status, AlarmStatus::Raised);
}

/// Whoever was called hears that it is over: the alarm was taken out of the config, or the rule that it was of.
#[tokio::test(start_paused = true)]
async fn what_is_watched_no_more_is_resolved() {
    let rule = |id: &str| json!({ "id": id, "from": "uploads", "process": { "kind": "json.to_jsonl" }, "output": { "bucket": "results" } });
    for (rules, alarms) in [(vec![rule("json")], vec![]), (vec![rule("other")], vec![errors()])] {
        let mut service = service_with(&[], vec![errors()], always(|_, _| Ok(()))).await;
        service.put("1.bad").await;
        service.until(2 * MINUTE).await;
        assert_eq!(service.calls().len(), 1);
        service.crash().await;
        let mut without = config(rules, &[], alarms);
        let all_alarms =
            NotifyRule { on: vec![NoticeKind::AlarmResolved], receiver: hook("ops"), rule: None, bucket: None };
        without.notify = NotifyRules::new(vec![all_alarms]).expect("few");
        service.engine = engine_on(&service.store, &service.receivers, without);
        service.start();
        service.until(4 * MINUTE).await;
        let told: Vec<String> = service.all().await.iter().map(|d| d.notice.kind.to_string()).collect();
        assert_eq!(told, ["alarm.raised", "alarm.resolved"]);
        assert_eq!(service.calls().len(), 2, "each once");
        let history = service.engine.alarm_history(&AlarmHistoryQuery { limit: 1, ..Default::default() }).await;
        assert!(history.expect("history").items[0].is_unwatched());
    }
}

/// Bad a second time, hours after nobody had looked: that is no lasting.
#[tokio::test(start_paused = true)]
async fn what_was_pending_when_it_was_watched_no_more_begins_anew() {
    let lasting = || AlarmRule { lasts: 4 * MINUTE, window: 60 * MINUTE, ..errors() };
    let mut service = service_with(&[], vec![lasting()], always(|_, _| Ok(()))).await;
    service.put("1.bad").await;
    service.until(2 * MINUTE).await;
    assert_eq!(service.engine.alarms().await.expect("alarms")[0].state.status, AlarmStatus::Pending);
    let rule = json!({ "id": "json", "from": "uploads", "process": { "kind": "json.to_jsonl" },
        "output": { "bucket": "results" } });
    for (alarms, until) in [(vec![], 3), (vec![lasting()], 6)] {
        service.crash().await;
        service.engine = engine_on(&service.store, &service.receivers, config(vec![rule.clone()], &[], alarms));
        service.start();
        service.until(until * MINUTE).await;
    }
    assert_eq!(service.engine.alarms().await.expect("alarms")[0].state.status, AlarmStatus::Pending);
    service.until(8 * MINUTE).await;
    assert_eq!(service.engine.alarms().await.expect("alarms")[0].state.status, AlarmStatus::Raised);
}

#[tokio::test(start_paused = true)]
async fn an_alarm_that_was_never_raised_is_ok_since_it_was_first_looked_at() {
    let service = service_with(&[], vec![errors()], always(|_, _| Ok(()))).await;
    service.until(MINUTE).await;
    let since = service.engine.alarms().await.expect("alarms")[0].state.since;
    assert!(since < service.clock.now());
    service.until(2 * MINUTE).await;
    assert_eq!(service.engine.alarms().await.expect("alarms")[0].state.since, since);
}
