//! Generated hostile configs: ten thousand, or a million with `FILEMILL_TEST_GATE=1`. Each is read or refused by name,
//! within a second, without a panic and without a word of a secret.

use super::*;
use filemill_trials::trials;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use std::time::Instant;

const SECRET: &str = "hunter2-of-the-test";
const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const WORDS: &[&str] = &[
    "schema = 1",
    "[[rules]]",
    "[server]",
    "[buckets.uploads]",
    "[processors.x]",
    "kind = \"command\"",
    "kind = \"http\"",
    "argv = [\"/bin/cat\"]",
    "process = { kind = \"lines.prefix\", text = \"> \" }",
    "from = \"uploads\"",
    "id = \"r\"",
    "match = {}",
    "[rules.output]",
    "bucket = \"results\"",
    "\"${env:SECRET}\"",
    "${env:SECRET}",
    "${env:HOOK_SECRET}",
    "${env:NOPE}",
    "$${",
    "${",
    "\"",
    "'''",
    "\"\"\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "#",
    "\\u0000",
    "\\U0010ffff",
    "\\ud800",
    "é",
    "\u{feff}",
    "\r",
    "\n",
    "\t",
    "\0",
    "nan",
    "-inf",
    "1979-05-27T07:32:00Z",
    "99:99",
    "0x7fffffffffffffff",
    "9223372036854775808",
    "-1",
    "1e400",
    "0",
    "true",
    "\"\"",
    "\"5 GiB\"",
    "\"99999999999999999999 TiB\"",
    "\"0s\"",
    "\"1s..0s\"",
    "[[[[[[[[[[",
    "a.a.a.a.a = 1",
];

/// A setting of the starter config that is commented out.
fn is_a_setting(text: &str) -> bool {
    let is_a_key = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    text.starts_with('[') && text.ends_with(']') || text.split_once(" = ").is_some_and(|(name, _)| is_a_key(name))
}

/// A few changes of the starter config, every second time with all that is commented out in it switched on.
fn hostile(chance: &mut SmallRng) -> String {
    let mut lines: Vec<String> = STARTER.lines().map(str::to_owned).collect();
    if chance.random_ratio(1, 2) {
        for line in &mut lines {
            if line.strip_prefix("# ").is_some_and(is_a_setting) {
                line.drain(..2);
            }
        }
    }
    for _ in 0..chance.random_range(0..4) {
        let (a, b) = (chance.random_range(0..lines.len()), chance.random_range(0..lines.len()));
        match chance.random_range(0..5) {
            0 => lines.swap(a, b),
            1 => drop(lines.remove(a)),
            2 => lines.insert(a, lines[b].clone()),
            3 => lines.insert(a, word(chance).to_owned()),
            _ => {
                if let Some((name, _)) = lines[a].clone().split_once(" = ") {
                    lines[a] = format!("{name} = {}", word(chance));
                }
            }
        }
    }
    let mut text: Vec<char> = lines.join("\n").chars().collect();
    for _ in 0..chance.random_range(0..4) {
        let from = chance.random_range(0..text.len());
        let to = (from + chance.random_range(0..12)).min(text.len());
        let new: Vec<char> = match chance.random_range(0..4) {
            0 => Vec::new(),
            1 => text[from..to].repeat(2),
            // seldom very long or very deep
            2 if chance.random_ratio(1, 100) => word(chance).repeat(20_000).chars().collect(),
            _ => word(chance).chars().collect(),
        };
        text.splice(from..to, new);
    }
    text.into_iter().collect()
}

fn word(chance: &mut SmallRng) -> &'static str {
    WORDS[chance.random_range(0..WORDS.len())]
}

fn load(text: &str) -> Result<Config> {
    let env = |name: &str| match name {
        "SECRET" => Some(SECRET.to_owned()),
        "HOOK_SECRET" => Some(HOOK_SECRET.to_owned()),
        _ => None,
    };
    let parsed = parse("test.toml", text, &Sources { env: &env, folder: Path::new("/nowhere") })?;
    assemble("test.toml".into(), Path::new("/nowhere"), parsed, &Overrides::default())
}

#[test]
fn hostile_configs_are_read_or_refused_by_name() {
    let trials: u64 = trials(10_000, 1_000_000);
    let (began, mut read, mut slowest) = (Instant::now(), 0, Duration::ZERO);
    for seed in 0..trials {
        let text = hostile(&mut SmallRng::seed_from_u64(seed));
        // a panic names the seed
        let ended = std::panic::catch_unwind(|| {
            // other tests share the machine: what is slow in itself is slow twice
            let time = |began: Instant| began.elapsed();
            let (first, outcome) = (Instant::now(), load(&text));
            let mut took = time(first);
            if took > Duration::from_secs(1) {
                let again = Instant::now();
                drop(load(&text));
                took = took.min(time(again));
            }
            (took, outcome.map(drop).map_err(|e| (crate::exit::exit_of(&e), format!("{e:#}"))))
        });
        let (took, outcome) = ended.unwrap_or_else(|_| panic!("seed {seed} panics:\n{text:.2000}"));
        assert!(took <= Duration::from_secs(1), "seed {seed} takes {took:?}");
        slowest = slowest.max(took);
        match outcome {
            Ok(()) => read += 1,
            Err((exit, said)) => {
                assert!(exit == crate::exit::Exit::Usage && said.starts_with("test.toml:"), "seed {seed}: {said}");
                assert!(!said.contains(SECRET) && !said.contains(&HOOK_SECRET[6..]), "seed {seed}: {said}");
            }
        }
    }
    eprintln!(
        "configs: {trials} trials (seeds from 0), 0 violations, {read} read, slowest {slowest:?}, {:.1?}",
        began.elapsed()
    );
    assert!(read > 0 && read < trials, "all were read, or none");
    load(STARTER).expect("the starter config is still good");
}
