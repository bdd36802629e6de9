//! Hostile input: good input with a few changes, all from one seed.

use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};

pub struct Spoiler(SmallRng);

/// Bytes that mean something to one parser or another.
const ODD_BYTES: &[u8] = b"\0\t\n\r \"#$%&'()*+,-./0:;<=>?@[\\]^`{|}~\x7f\x80\xc3\xed\xf4\xff";
const ODD_NUMBERS: &[&str] = &[
    "0",
    "-0",
    "-1",
    "1",
    "10001",
    "65536",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "99999999999999999999999999",
    "1e9",
    "1e400",
    "0.1",
    "007",
    "0x10",
    "NaN",
    "+1",
    " 1",
    "١",
];

impl Spoiler {
    pub fn new(seed: u64) -> Self {
        Spoiler(SmallRng::seed_from_u64(seed))
    }

    /// 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n.max(1))
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// One to three changes; `words` are pieces that this parser knows. No longer than `max`.
    pub fn bytes(&mut self, good: &[u8], words: &[&str], max: usize) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..=self.below(3) {
            self.change(&mut bytes, words, max);
        }
        bytes.truncate(max);
        bytes
    }

    /// As [`Spoiler::bytes`], as text.
    pub fn text(&mut self, good: &str, words: &[&str], max: usize) -> String {
        String::from_utf8_lossy(&self.bytes(good.as_bytes(), words, max)).into_owned()
    }

    /// As [`Spoiler::text`], for the line of a head: it stays one line.
    pub fn line(&mut self, good: &str, words: &[&str]) -> String {
        self.text(good, words, 4000).replace(|c: char| c.is_control(), " ")
    }

    fn change(&mut self, bytes: &mut Vec<u8>, words: &[&str], max: usize) {
        let (from, to) = self.range(bytes.len());
        match self.below(11) {
            0 if !bytes.is_empty() => bytes[from.min(to.saturating_sub(1))] ^= 1 << self.below(8),
            1 if !bytes.is_empty() => bytes[from.min(to.saturating_sub(1))] = *self.one(ODD_BYTES),
            2 => drop(bytes.drain(from..to)),
            3 => {
                let twice = bytes[from..to].to_vec();
                bytes.splice(to..to, twice);
            }
            4 | 5 if !words.is_empty() => {
                let word = self.one(words).as_bytes().to_vec();
                let to = if self.one_in(2) { to } else { from };
                bytes.splice(from..to, word);
            }
            6 => self.change_number(bytes),
            7 if self.one_in(4) => bytes.truncate(from),
            8 => {
                let piece = if words.is_empty() || self.one_in(2) {
                    bytes[from..to].to_vec()
                } else {
                    self.one(words).as_bytes().to_vec()
                };
                // seldom as much as there may be: that takes time
                let room = if self.one_in(50) { max } else { max.min(4000) };
                let times = room.saturating_sub(bytes.len()) / piece.len().max(1);
                let times = self.below(times);
                bytes.splice(from..from, piece.repeat(times));
            }
            9 => bytes[from..to].reverse(),
            10 => {
                let any: Vec<u8> = (0..self.below(8)).map(|_| self.below(256) as u8).collect();
                bytes.splice(from..from, any);
            }
            _ => bytes.insert(from, *self.one(ODD_BYTES)),
        }
    }

    /// Mostly short.
    fn range(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len + 1);
        let most = if self.one_in(4) { len - from } else { (len - from).min(12) };
        (from, from + self.below(most + 1))
    }

    fn change_number(&mut self, bytes: &mut Vec<u8>) {
        let starts: Vec<usize> = (0..bytes.len())
            .filter(|at| bytes[*at].is_ascii_digit() && (*at == 0 || !bytes[at - 1].is_ascii_digit()))
            .collect();
        if starts.is_empty() {
            return;
        }
        let start = *self.one(&starts);
        let end = start + bytes[start..].iter().take_while(|b| b.is_ascii_digit()).count();
        let number = self.one(ODD_NUMBERS).as_bytes().to_vec();
        bytes.splice(start..end, number);
    }

    /// Some other value at one or two places of a document; sometimes what is then no JSON any more.
    pub fn json(&mut self, good: &Value, words: &[&str], max: usize) -> Vec<u8> {
        let mut document = good.clone();
        for _ in 0..=self.below(2) {
            self.change_node(&mut document, words);
        }
        let text = document.to_string();
        if self.one_in(3) { self.bytes(text.as_bytes(), words, max) } else { text.into_bytes() }
    }

    fn change_node(&mut self, document: &mut Value, words: &[&str]) {
        let mut places = Vec::new();
        places_of(document, String::new(), &mut places);
        let place = self.one(&places).clone();
        let odd = self.odd_value(words);
        let Some(node) = document.pointer_mut(&place) else { return };
        match (self.below(6), node) {
            (0, Value::Object(fields)) => {
                let names: Vec<String> = fields.keys().cloned().collect();
                if !names.is_empty() {
                    fields.remove(self.one(&names));
                }
            }
            (1, Value::Object(fields)) => {
                let name = if words.is_empty() { "unknown".to_owned() } else { (*self.one(words)).to_owned() };
                fields.insert(name, odd);
            }
            (0 | 1, Value::Array(items)) => {
                let times = if self.one_in(50) { 3000 } else { self.below(30) };
                let item = items.first().cloned().unwrap_or(odd);
                items.extend(std::iter::repeat_n(item, times));
            }
            (0..=2, Value::String(text)) => *text = self.text(&text.clone(), words, 4000),
            (3, node) => *node = json!([node.clone()]),
            (_, node) => *node = odd,
        }
    }

    fn odd_value(&mut self, words: &[&str]) -> Value {
        match self.below(12) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 | 3 => json!([0_i64, -1, 1, 1000, 1001, i64::MIN, i64::MAX][self.below(7)]),
            4 => json!([u64::MAX as f64, 0.5, -0.0, 1e308][self.below(4)]),
            5 => json!([]),
            6 => Value::Object(Map::new()),
            7 => {
                let in_lists = self.one_in(2);
                let around = |inside| if in_lists { json!([inside]) } else { json!({ "a": inside }) };
                (0..self.below(200)).fold(json!(1), |inside, _| around(inside))
            }
            8 => json!("x".repeat(self.below(3000))),
            9 => json!(["", " ", "\0", "\u{202e}", "\u{fffd}", "é", "🦀", "../..", "\r\nX: y"][self.below(9)]),
            10 => json!((*self.one(ODD_NUMBERS)).to_owned()),
            _ if words.is_empty() => json!("odd"),
            _ => json!((*self.one(words)).to_owned()),
        }
    }
}

/// The JSON pointers of a value and of all in it.
fn places_of(value: &Value, at: String, places: &mut Vec<String>) {
    let escaped = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, inner)| places_of(inner, format!("{at}/{}", escaped(name)), places));
        }
        // of a long list the first few say it all
        Value::Array(items) => {
            items.iter().take(4).enumerate().for_each(|(n, inner)| places_of(inner, format!("{at}/{n}"), places));
        }
        _ => {}
    }
    places.push(at);
}
