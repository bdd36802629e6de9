//! Every key is a register: whatever eight clients put, create, delete, get and list side by side, one order of their
//! requests explains all answers, also when the service is killed (kill -9) in the middle. So no read is stale, no
//! acknowledged write is lost, and of many conditional puts one wins.

use filemill_e2e::inputs::text;
use filemill_e2e::linear::{self, Answer, Asked, Request, Value};
use filemill_e2e::rounds::seed;
use filemill_e2e::s3::{S3, Unknown};
use filemill_e2e::{Launch, Service};
use filemill_trials::trials;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

const CLIENTS: usize = 8;
const KEYS: usize = 10;
/// Answers after which the service is killed, and requests of each client afterwards.
const BEFORE: std::ops::Range<usize> = 80..200;
const AFTER: usize = 20;
/// No rule looks at this bucket, so that all of the load is on the keys.
const BUCKET: &str = "results";
/// Content from here on is a file of its own.
const LARGE: usize = 66_000;

/// A request to this key.
type Told = (String, Request);

/// What one history shares.
struct Scene {
    prefix: String,
    /// Counts, so that no two moments are the same.
    clock: AtomicU64,
    last_value: AtomicU32,
    /// From here on a request may be left without an answer.
    killed: AtomicBool,
}

struct Client<'a> {
    number: usize,
    s3: S3,
    scene: &'a Scene,
    chance: SmallRng,
    tell: Sender<Told>,
}

/// The length alone says which value it is.
fn length(value: Value) -> usize {
    value as usize + if value.is_multiple_of(4) { LARGE } else { 0 }
}

fn value_of(length: usize) -> Value {
    let value = if length > LARGE { length - LARGE } else { length };
    u32::try_from(value).expect("a value is small")
}

fn content(value: Value) -> Vec<u8> {
    text(u64::from(value), length(value))
}

impl Scene {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn key(&self, number: usize) -> String {
        format!("{}{number}", self.prefix)
    }
}

impl Client<'_> {
    /// Until the service is killed, or this many times.
    fn work(mut self, times: usize) {
        for _ in 0..times {
            if let Err(Unknown(why)) = self.any() {
                assert!(self.scene.killed.load(Ordering::SeqCst), "left unanswered by a service that is there: {why}");
                return;
            }
        }
    }

    fn any(&mut self) -> Result<(), Unknown> {
        if self.chance.random_ratio(1, 10) {
            return self.list();
        }
        // the smaller of two: some keys are fought for, some are left alone for a while
        let key = self.scene.key(self.chance.random_range(0..KEYS).min(self.chance.random_range(0..KEYS)));
        let value = || self.scene.last_value.fetch_add(1, Ordering::SeqCst) + 1;
        let asked = match self.chance.random_range(0..10) {
            0..2 => Asked::Put(value()),
            2..5 => Asked::Create(value()),
            5..7 => Asked::Delete,
            _ => Asked::Read,
        };
        self.ask(key, asked)
    }

    fn ask(&self, key: String, asked: Asked) -> Result<(), Unknown> {
        let sent = self.scene.now();
        let answer = match asked {
            Asked::Put(value) => self.s3.try_put(&key, &content(value)).map(|()| Answer::Done),
            Asked::Create(value) => {
                let won = self.s3.try_create(&key, &content(value));
                won.map(|won| if won { Answer::Done } else { Answer::Refused })
            }
            Asked::Delete => self.s3.try_delete(&key).map(|()| Answer::Done),
            Asked::Read => self.s3.try_get(&key).map(|found| Answer::Found(found.map(|bytes| whole(&key, &bytes)))),
        };
        self.note(key, sent, asked, *answer.as_ref().unwrap_or(&Answer::Unknown));
        answer.map(drop)
    }

    /// Reads every key at one moment.
    fn list(&self) -> Result<(), Unknown> {
        let sent = self.scene.now();
        let listed = self.s3.try_list(&self.scene.prefix)?;
        for key in (0..KEYS).map(|number| self.scene.key(number)) {
            let found = listed.iter().find(|object| object.key == key).map(|object| value_of(object.size as usize));
            self.note(key, sent, Asked::Read, Answer::Found(found));
        }
        Ok(())
    }

    fn note(&self, key: String, sent: u64, asked: Asked, answer: Answer) {
        // without an answer, the end is known when the service is gone
        let answered = if answer == Answer::Unknown { u64::MAX } else { self.scene.now() };
        let request = Request { client: self.number, sent, answered, asked, answer };
        self.tell.send((key, request)).expect("somebody writes the history");
    }
}

/// The value, every byte of it.
fn whole(key: &str, bytes: &[u8]) -> Value {
    let value = value_of(bytes.len());
    assert!(bytes == content(value), "{key} holds {} bytes that nobody wrote", bytes.len());
    value
}

/// All clients at once, on the service behind this door; `watch` hears of each request when it has ended.
fn crowd(s3: &S3, scene: &Scene, seed: u64, times: usize, watch: impl FnOnce(Receiver<Told>)) {
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let chance = SmallRng::seed_from_u64(seed ^ ((number as u64 + 1) << 56));
            let client = Client { number, s3: s3.clone(), scene, chance, tell: tell.clone() };
            scope.spawn(|| client.work(times));
        }
        drop(tell);
        watch(told);
    });
}

/// What one client finds in the end, when all others are gone.
fn look_at_all(s3: &S3, scene: &Scene) -> Vec<Told> {
    let (tell, told) = mpsc::channel();
    let client = Client { number: CLIENTS, s3: s3.clone(), scene, chance: SmallRng::seed_from_u64(0), tell };
    client.list().expect("the service is there");
    (0..KEYS).for_each(|number| client.ask(scene.key(number), Asked::Read).expect("the service is there"));
    drop(client);
    told.iter().collect()
}

/// Requests of all clients to all keys, across one end of the service. Answers them with the service that was started
/// again.
fn across_a_kill(data: &Path, service: Service, number: usize, chance: &mut SmallRng) -> (Vec<Told>, Service) {
    let scene = Scene {
        prefix: format!("{number}/"),
        clock: AtomicU64::new(1),
        last_value: AtomicU32::new(0),
        killed: AtomicBool::new(false),
    };
    let mut all = Vec::new();
    let enough = chance.random_range(BEFORE);
    crowd(&service.bucket(BUCKET), &scene, chance.random(), usize::MAX, |told| {
        all.extend(told.iter().take(enough));
        // not a wait for anything: the moment itself is random
        thread::sleep(Duration::from_micros(chance.random_range(0..10_000)));
        scene.killed.store(true, Ordering::SeqCst);
        service.kill();
        let gone = scene.now();
        for (key, mut request) in told {
            request.answered = request.answered.min(gone);
            all.push((key, request));
        }
    });
    let service = Launch::on(data).start();
    scene.killed.store(false, Ordering::SeqCst);
    crowd(&service.bucket(BUCKET), &scene, chance.random(), AFTER, |told| all.extend(told));
    all.extend(look_at_all(&service.bucket(BUCKET), &scene));
    (all, service)
}

#[test]
fn one_order_explains_what_all_clients_saw_across_a_kill() {
    let (histories, began) = (trials(20, 500), Instant::now());
    let (folder, mut chance) = (tempfile::tempdir().expect("a temporary folder"), SmallRng::seed_from_u64(seed()));
    let mut service = Launch::on(folder.path()).start();
    let (mut requests, mut won, mut lost, mut unknown) = (0, 0, 0, 0);
    for number in 0..histories {
        let all;
        (all, service) = across_a_kill(folder.path(), service, number, &mut chance);
        let count = |is: fn(&Request) -> bool| all.iter().filter(|(_, request)| is(request)).count();
        requests += all.len();
        won += count(|r| matches!((r.asked, r.answer), (Asked::Create(_), Answer::Done)));
        lost += count(|r| r.answer == Answer::Refused);
        unknown += count(|r| r.answer == Answer::Unknown);
        linear::expect_legal(all);
    }
    service.stop();
    eprintln!(
        "{histories} histories, {requests} requests, {unknown} without an answer, {won} conditional puts won and {lost} \
         lost, 0 violations, {:?}",
        began.elapsed()
    );
    assert!(unknown >= histories, "the service was not killed under load");
    assert!(won > histories && lost > histories, "nothing was fought for");
}
