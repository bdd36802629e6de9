//! Whether clients of one key can have seen what they saw: the search for one order of all requests, each at one moment
//! between its sending and its answer, in which a plain register would have given the same answers (Wing and Gong, with
//! a memory of the states that led nowhere).
//!
//! A request without an answer may have happened at any such moment, or never. Its time ends when the process that
//! heard it was gone.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Each write writes another value.
pub type Value = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Put(Value),
    /// A put that wants nothing there (If-None-Match: *).
    Create(Value),
    Delete,
    /// A get, or the key's place in a listing.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// Something was there.
    Refused,
    Found(Option<Value>),
    /// There was none.
    Unknown,
}

/// Times are of one clock of the whole history.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub client: usize,
    pub sent: u64,
    pub answered: u64,
    pub asked: Asked,
    pub answer: Answer,
}

/// No order explains these requests of one key.
pub struct Illegal {
    history: Vec<Request>,
    /// So many of them have a place in the longest order that was found.
    explained: usize,
}

impl Request {
    /// What the key holds afterwards, if the register would have answered like this.
    fn on(&self, held: Option<Value>) -> Option<Option<Value>> {
        match (self.asked, self.answer) {
            (Asked::Put(value), Answer::Done | Answer::Unknown) => Some(Some(value)),
            (Asked::Create(value), Answer::Done | Answer::Unknown) => held.is_none().then_some(Some(value)),
            (Asked::Create(_), Answer::Refused) => held.is_some().then_some(held),
            (Asked::Delete, Answer::Done | Answer::Unknown) => Some(None),
            (Asked::Read, Answer::Found(found)) => (found == held).then_some(held),
            _ => None,
        }
    }

    /// An order may do without it.
    fn may_be_left_out(&self) -> bool {
        self.answer == Answer::Unknown
    }
}

/// An order of these requests of one key, which holds nothing at first. Sorted by sending, as they are remembered.
pub fn check(mut history: Vec<Request>) -> Result<(), Illegal> {
    history.retain(|request| !(request.asked == Asked::Read && request.may_be_left_out()));
    history.sort_by_key(|request| request.sent);
    let mut search = Search { history: &history, dead_ends: HashSet::new(), explained: 0 };
    let nothing = Progress { placed: vec![0; history.len().div_ceil(64)], count: 0, last_sent: 0, held: None };
    if search.goes_on(&nothing) {
        return Ok(());
    }
    let explained = search.explained;
    Err(Illegal { history, explained })
}

struct Search<'a> {
    history: &'a [Request],
    dead_ends: HashSet<(Vec<u64>, Option<Value>)>,
    explained: usize,
}

/// The beginning of an order.
struct Progress {
    /// One bit a request.
    placed: Vec<u64>,
    count: usize,
    /// When the youngest of them was sent: what was over by then cannot come any more.
    last_sent: u64,
    held: Option<Value>,
}

impl Progress {
    fn has(&self, number: usize) -> bool {
        self.placed[number / 64] >> (number % 64) & 1 == 1
    }

    fn and(&self, number: usize, request: &Request, held: Option<Value>) -> Progress {
        let mut placed = self.placed.clone();
        placed[number / 64] |= 1 << (number % 64);
        Progress { placed, count: self.count + 1, last_sent: self.last_sent.max(request.sent), held }
    }
}

impl Search<'_> {
    fn goes_on(&mut self, so_far: &Progress) -> bool {
        self.explained = self.explained.max(so_far.count);
        let history = self.history;
        let open = || history.iter().enumerate().filter(|(number, _)| !so_far.has(*number));
        let due = open().filter(|(_, request)| !request.may_be_left_out()).map(|(_, request)| request.answered).min();
        let Some(due) = due else { return true };
        for (number, request) in open().take_while(|(_, request)| request.sent < due) {
            if request.answered < so_far.last_sent {
                continue; // left out, and its time is over
            }
            let Some(held) = request.on(so_far.held) else { continue };
            let next = so_far.and(number, request, held);
            if self.dead_ends.contains(&(next.placed.clone(), held)) {
                continue;
            }
            if self.goes_on(&next) {
                return true;
            }
            self.dead_ends.insert((next.placed, held));
        }
        false
    }
}

/// Every key by itself. Panics with the requests that no order explains.
#[track_caller]
pub fn expect_legal(requests: impl IntoIterator<Item = (String, Request)>) {
    let mut keys: BTreeMap<String, Vec<Request>> = BTreeMap::new();
    for (key, request) in requests {
        keys.entry(key).or_default().push(request);
    }
    for (key, requests) in keys {
        if let Err(illegal) = check(requests) {
            panic!("no order of the requests of {key} explains their answers: {illegal:?}");
        }
    }
}

impl fmt::Debug for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} have a place", self.explained, self.history.len())?;
        for Request { client, sent, answered, asked, answer } in &self.history {
            writeln!(f, "{sent:6} .. {answered:6} client {client}: {asked:?} -> {answer:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Answer::{Done, Found, Refused, Unknown};
    use super::Asked::{Create, Delete, Put, Read};
    use super::*;

    /// (sent, answered, asked, answer)
    fn is_legal(history: &[(u64, u64, Asked, Answer)]) -> bool {
        let request = |&(sent, answered, asked, answer)| Request { client: 0, sent, answered, asked, answer };
        check(history.iter().map(request).collect()).is_ok()
    }

    #[test]
    fn one_after_the_other_each_sees_what_the_one_before_made() {
        assert!(is_legal(&[]));
        assert!(is_legal(&[
            (1, 2, Read, Found(None)),
            (3, 4, Create(1), Done),
            (5, 6, Create(2), Refused),
            (7, 8, Put(3), Done),
            (9, 10, Read, Found(Some(3))),
            (11, 12, Delete, Done),
            (13, 14, Read, Found(None)),
        ]));
    }

    #[test]
    fn side_by_side_either_may_come_first() {
        for last in [1, 2] {
            assert!(is_legal(&[(1, 4, Put(1), Done), (2, 3, Put(2), Done), (5, 6, Read, Found(Some(last)))]));
        }
        // a reader may see a write before its answer, and then no other the old value
        let both =
            |first, second| is_legal(&[(1, 10, Put(1), Done), (2, 3, Read, Found(first)), (4, 5, Read, Found(second))]);
        assert!(both(None, None) && both(None, Some(1)) && both(Some(1), Some(1)));
        assert!(!both(Some(1), None));
    }

    #[test]
    fn a_stale_read_is_found() {
        assert!(!is_legal(&[(1, 2, Put(1), Done), (3, 4, Put(2), Done), (5, 6, Read, Found(Some(1)))]));
        assert!(!is_legal(&[(1, 2, Put(1), Done), (3, 4, Read, Found(None))]));
        assert!(!is_legal(&[(1, 2, Put(1), Done), (3, 4, Delete, Done), (5, 6, Read, Found(Some(1)))]));
    }

    #[test]
    fn a_value_that_nobody_wrote_is_found() {
        assert!(!is_legal(&[(1, 4, Put(1), Done), (2, 3, Read, Found(Some(2)))]));
        assert!(!is_legal(&[(1, 2, Read, Found(Some(1))), (3, 4, Put(1), Done)]));
    }

    #[test]
    fn two_winners_of_a_condition_are_found() {
        assert!(!is_legal(&[(1, 4, Create(1), Done), (2, 3, Create(2), Done)]));
        assert!(is_legal(&[(1, 4, Create(1), Done), (2, 3, Create(2), Refused)]));
        assert!(is_legal(&[(1, 6, Create(1), Done), (2, 5, Create(2), Done), (3, 4, Delete, Done)]));
        // and a loser without a winner
        assert!(!is_legal(&[(1, 2, Create(1), Refused), (3, 4, Create(2), Done)]));
    }

    #[test]
    fn a_lost_write_is_found() {
        // two that both saw their own, and then it is gone
        let lost = [(1, 4, Put(1), Done), (2, 3, Put(2), Done), (5, 6, Read, Found(Some(2)))];
        assert!(is_legal(&lost));
        assert!(!is_legal(&[&lost[..], &[(7, 8, Read, Found(Some(1)))]].concat()));
        assert!(!is_legal(&[&lost[..], &[(7, 8, Read, Found(None))]].concat()));
    }

    #[test]
    fn what_has_no_answer_may_have_happened_or_not_but_not_both() {
        for found in [None, Some(1)] {
            assert!(is_legal(&[(1, 9, Put(1), Unknown), (2, 3, Read, Found(None)), (4, 5, Read, Found(found))]));
        }
        let written = (1, 2, Put(1), Done);
        assert!(!is_legal(&[
            written,
            (3, 9, Delete, Unknown),
            (4, 5, Read, Found(None)),
            (6, 7, Read, Found(Some(1)))
        ]));
        // a create that found something has no effect, whatever became of it
        assert!(!is_legal(&[written, (3, 9, Create(2), Unknown), (4, 5, Read, Found(Some(2)))]));
        // one request explains one change
        assert!(!is_legal(&[
            (1, 20, Put(1), Unknown),
            (2, 3, Read, Found(Some(1))),
            (4, 5, Delete, Done),
            (6, 7, Read, Found(Some(1)))
        ]));
    }

    #[test]
    fn what_a_process_that_is_gone_has_not_done_never_happens() {
        assert!(is_legal(&[(1, 6, Put(1), Unknown), (2, 5, Read, Found(None)), (7, 8, Read, Found(Some(1)))]));
        assert!(!is_legal(&[(1, 2, Put(1), Unknown), (3, 4, Read, Found(None)), (5, 6, Read, Found(Some(1)))]));
    }

    /// Hundreds of requests, eight at a time, whose answers are those of a register that took them in the order of their
    /// moments. Then one answer is made wrong.
    #[test]
    fn long_histories_are_judged_quickly_and_rightly() {
        let mut chance = 1_u64;
        let mut dice = |sides: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % sides
        };
        let mut held = None;
        let mut history: Vec<Request> = (0..200)
            .map(|number: u32| {
                // its moment is in the middle of a span that covers those of its neighbours
                let moment = u64::from(number) * 100 + 10_000;
                let (sent, answered) = (moment - 1 - dice(400), moment + 1 + dice(400));
                let asked = [Put(number), Create(number), Delete, Read, Read][dice(5) as usize];
                let answer = match asked {
                    Create(_) if held.is_some() => Refused,
                    Read => Found(held),
                    _ => Done,
                };
                let mut request = Request { client: number as usize % 8, sent, answered, asked, answer };
                held = request.on(held).expect("a register answers itself");
                if answer == Done && dice(40) == 0 {
                    (request.answer, request.answered) = (Unknown, u64::MAX);
                }
                request
            })
            .collect();
        assert!(check(history.clone()).is_ok());
        let late = history.iter().rposition(|r| matches!(r.answer, Found(Some(_)))).expect("a read that found");
        history[late].answer = Found(Some(3));
        assert!(check(history).is_err());
    }
}
