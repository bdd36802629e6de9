//! The operator of the night shift: redrives dead letters, one or all, sometimes twice at once, and discards some.

use crate::scenario::STORM;
use crate::service::Service;
use filemill_core::access::Principal;
use filemill_core::dead_letter::{DeadLetterFilter, DeadLetterStatus};
use filemill_core::redrive::RedriveManner;
use filemill_engine::{Engine, NewRedrive};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use std::time::Duration;

pub async fn run(service: &Service, mut chance: SmallRng) {
    for _ in 0..service.scenario.letter_acts {
        let pause = chance.random_range(0..STORM.as_millis() as u64 / 4);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        service.call(act(service, &mut chance)).await;
    }
}

/// Whatever the answers are: what became of the letters is judged by what is stored.
async fn act(service: &Service, chance: &mut SmallRng) {
    let (one, other) = (service.engine(chance.random_range(0..3)), service.engine(chance.random_range(0..3)));
    let (Some(one), Some(other)) = (one, other) else { return };
    let somebody = Principal::service();
    let manner = RedriveManner { from_start: chance.random_bool(0.3), ..RedriveManner::default() };
    match chance.random_range(0..4) {
        0 => {
            let order = |rate| NewRedrive { manner: manner.clone(), rate: Some(rate), ..NewRedrive::default() };
            service.store.note("night shift: redrive all, ordered twice");
            let (fast, slow) = (order(chance.random_range(1..5)), order(1));
            let _answers = tokio::join!(one.create_redrive(&somebody, fast), other.create_redrive(&somebody, slow));
        }
        1 => {
            let Some(letter) = a_letter(&one, chance).await else { return };
            *service.ledger().discards.entry(letter.clone()).or_default() += 1;
            service.store.note(&format!("night shift: discard {letter}"));
            let _answer = one.discard_dead_letter(&somebody, &letter).await;
        }
        _ => {
            let Some(letter) = a_letter(&one, chance).await else { return };
            service.store.note(&format!("night shift: redrive {letter}, ordered twice"));
            let _answers = tokio::join!(
                one.redrive_dead_letter(&somebody, &letter, &manner),
                other.redrive_dead_letter(&somebody, &letter, &manner)
            );
        }
    }
}

async fn a_letter(engine: &Engine, chance: &mut SmallRng) -> Option<filemill_core::ids::DeadLetterId> {
    let dead = DeadLetterFilter { status: Some(DeadLetterStatus::Dead), ..DeadLetterFilter::default() };
    let page = engine.dead_letters(&Principal::service(), &dead, None, 20).await.ok()?;
    page.items.choose(chance).map(|letter| letter.id.clone())
}
