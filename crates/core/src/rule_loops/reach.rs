//! Can what one rule writes start another? A search over all keys at once, for a key that shows it.
//!
//! Exact where the output key has the parts of the input key in their order, each once (`{key}`, `{dir}{stem}.html`,
//! `done/{name}`): then the key that is read and the key that is written are followed together. Elsewhere each part may
//! be any text of its form, so a "no" is certain and a "yes" may be too careful.

use super::key_automaton::{KeyAutomaton, State};
use crate::key_template::{KeyTemplate, Piece};
use crate::rule::Rule;
use std::collections::{BTreeSet, HashSet, VecDeque};

/// What a search may hold, in states of single conditions (a prefix, a glob): some 20 MB. Patterns that need more are taken
/// for ones that match.
const STATES_MAX: usize = 200_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    No,
    /// This input gives this output.
    Yes {
        input: String,
        output: String,
    },
    /// It cannot be excluded.
    Perhaps,
}

/// A part of the input key. A key is its directory, its stem and its extension, each of which may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Dir,
    Stem,
    Ext,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    Part(Part),
}

/// Where in its form a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The directory may end here, behind a slash or before anything.
    Border,
    InDir,
    /// Of a name without an extension; nothing of it was read yet.
    PlainStart,
    /// Its only dot may be its first character.
    Plain,
    /// Of a name with an extension.
    StemStart,
    Stem,
    ExtStart,
    Ext,
}

impl Place {
    /// Places that need no further character to be reached.
    fn opens(self) -> &'static [Place] {
        match self {
            Place::Border => &[Place::PlainStart, Place::StemStart],
            Place::Stem => &[Place::ExtStart],
            _ => &[],
        }
    }

    fn after(self, next: char) -> Option<Place> {
        match (self, next) {
            (Place::Border | Place::InDir, '/') => Some(Place::Border),
            (Place::Border | Place::InDir, _) => Some(Place::InDir),
            (_, '/') => None,
            (Place::PlainStart, _) => Some(Place::Plain),
            (Place::Plain, '.') => None,
            (Place::Plain, _) => Some(Place::Plain),
            (Place::StemStart | Place::Stem, _) => Some(Place::Stem),
            (Place::ExtStart, '.') => Some(Place::Ext),
            (Place::Ext, '.') | (Place::ExtStart, _) => None,
            (Place::Ext, _) => Some(Place::Ext),
        }
    }

    fn part(self) -> Part {
        match self {
            Place::Border | Place::InDir => Part::Dir,
            Place::PlainStart | Place::Plain | Place::StemStart | Place::Stem => Part::Stem,
            Place::ExtStart | Place::Ext => Part::Ext,
        }
    }

    /// May a key end here?
    fn is_end(self) -> bool {
        matches!(self, Place::PlainStart | Place::Plain | Place::Ext)
    }
}

/// Can an input that `from` takes give an output, with `ending` behind its key, that `to` takes? Buckets are not looked at.
pub fn reach(from: &Rule, ending: &str, to: &Rule) -> Reach {
    let items = items(from, &from.output.key, ending);
    let parts: Vec<Part> =
        items.iter().filter_map(|item| if let Item::Part(p) = item { Some(*p) } else { None }).collect();
    let reads = KeyAutomaton::new(&from.pattern.key);
    let writes = KeyAutomaton::new(&to.pattern.key);
    let letters = letters(&[&reads, &writes], &items);
    if parts.is_sorted_by(|a, b| a < b) {
        Together { reads, writes, layout: Layout::of(items) }.search(&letters)
    } else {
        by_form(&items, &writes, &letters)
    }
}

fn items(rule: &Rule, key: &KeyTemplate, ending: &str) -> Vec<Item> {
    let pieces = key.pieces().expect("placeholders were checked when the template was parsed");
    let text = |text: &str| vec![Item::Text(text.to_owned())];
    let parts = |parts: &[Part]| parts.iter().copied().map(Item::Part).collect();
    let items_of = |piece| match piece {
        Piece::Text(own) => text(own),
        Piece::Bucket => text(&rule.from),
        Piece::Rule => text(rule.id.as_str()),
        Piece::Key => parts(&[Part::Dir, Part::Stem, Part::Ext]),
        Piece::Name => parts(&[Part::Stem, Part::Ext]),
        Piece::Dir => parts(&[Part::Dir]),
        Piece::Stem => parts(&[Part::Stem]),
        Piece::Ext => parts(&[Part::Ext]),
    };
    pieces.into_iter().flat_map(items_of).chain(text(ending)).collect()
}

/// Characters that somebody tells apart, and one that stands for all others.
fn letters(automata: &[&KeyAutomaton], items: &[Item]) -> Vec<char> {
    let mut letters: BTreeSet<char> = automata.iter().flat_map(|automaton| automaton.letters()).collect();
    for item in items {
        if let Item::Text(text) = item {
            letters.extend(text.chars());
        }
    }
    letters.extend(['/', '.']);
    letters.remove(&'\0');
    let other = ('a'..=char::MAX).find(|letter| letter.is_alphanumeric() && !letters.contains(letter));
    letters.extend(other);
    // plain names first: they make the better examples
    let (plain, odd): (Vec<char>, Vec<char>) = letters.into_iter().partition(|letter| letter.is_alphanumeric());
    plain.into_iter().chain(odd).collect()
}

/// What is written before and behind each part, and whether the part itself is.
#[derive(Default)]
struct Layout {
    before: [String; 3],
    is_copied: [bool; 3],
    end: String,
}

impl Layout {
    fn of(items: Vec<Item>) -> Self {
        let mut layout = Layout::default();
        let mut text = String::new();
        for item in items {
            match item {
                Item::Text(more) => text.push_str(&more),
                Item::Part(part) => {
                    layout.before[part as usize] = std::mem::take(&mut text);
                    layout.is_copied[part as usize] = true;
                }
            }
        }
        layout.end = text;
        layout
    }
}

/// Follows the key that is read and the key that is written.
struct Together {
    reads: KeyAutomaton,
    writes: KeyAutomaton,
    layout: Layout,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Node {
    read: State,
    written: State,
    place: Place,
    is_empty: bool,
}

impl Together {
    fn search(&self, letters: &[char]) -> Reach {
        let written = self.writes.steps(&self.writes.start(), &self.layout.before[0]);
        let start = Node { read: self.reads.start(), written, place: Place::Border, is_empty: true };
        let mut search = Search::from(start);
        while let Some((at, node)) = search.next() {
            if self.is_hit(&node) {
                let input = search.text(at);
                let output = self.output(&search, at);
                return Reach::Yes { input, output };
            }
            for place in node.place.opens() {
                let enters = place.part() != node.place.part();
                let text = if enters { self.layout.before[place.part() as usize].as_str() } else { "" };
                let written = self.writes.steps(&node.written, text);
                search.add(at, None, Node { written, place: *place, ..node.clone() });
            }
            for letter in letters {
                let Some(place) = node.place.after(*letter) else { continue };
                let read = self.reads.step(&node.read, *letter);
                let written = match self.layout.is_copied[place.part() as usize] {
                    true => self.writes.step(&node.written, *letter),
                    false => node.written.clone(),
                };
                search.add(at, Some(*letter), Node { read, written, place, is_empty: false });
            }
            if search.is_too_large(node.read.len() + node.written.len()) {
                return Reach::Perhaps;
            }
        }
        Reach::No
    }

    fn is_hit(&self, node: &Node) -> bool {
        if node.is_empty || !node.place.is_end() || !self.reads.accepts(&node.read) {
            return false;
        }
        let written = self.writes.steps(&node.written, &self.rest_behind(node.place));
        self.writes.accepts(&written)
    }

    /// A name without an extension skips the text before one.
    fn rest_behind(&self, place: Place) -> String {
        let before_ext = if place.part() == Part::Ext { "" } else { self.layout.before[2].as_str() };
        format!("{before_ext}{}", self.layout.end)
    }

    fn output(&self, search: &Search<Node>, at: usize) -> String {
        let mut output = self.layout.before[0].clone();
        let mut part = Part::Dir;
        let path = search.path(at);
        for (place, letter) in path.iter().map(|at| (search.node(*at).place, search.letter(*at))) {
            if place.part() != part {
                part = place.part();
                output.push_str(&self.layout.before[part as usize]);
            }
            output.extend(letter.filter(|_| self.layout.is_copied[part as usize]));
        }
        output + &self.rest_behind(search.node(at).place)
    }
}

/// Each part is any text of its form, whatever the others are.
fn by_form(items: &[Item], writes: &KeyAutomaton, letters: &[char]) -> Reach {
    let mut search = Search::from((0, None, writes.start()));
    while let Some((at, (index, place, written))) = search.next() {
        let Some(item) = items.get(index) else {
            if writes.accepts(&written) {
                return Reach::Perhaps;
            }
            continue;
        };
        match (item, place) {
            (Item::Text(text), _) => search.add(at, None, (index + 1, None, writes.steps(&written, text))),
            (Item::Part(part), None) => {
                for start in starts_of(*part) {
                    search.add(at, None, (index, Some(*start), written.clone()));
                }
                if *part == Part::Ext {
                    search.add(at, None, (index + 1, None, written));
                }
            }
            (Item::Part(part), Some(place)) => {
                if !matches!(place, Place::InDir | Place::StemStart | Place::ExtStart) {
                    search.add(at, None, (index + 1, None, written.clone()));
                }
                for letter in letters {
                    let after = place.after(*letter).filter(|after| after.part() == *part);
                    if let Some(after) = after {
                        search.add(at, Some(*letter), (index, Some(after), writes.step(&written, *letter)));
                    }
                }
            }
        }
        if search.is_too_large(writes.start().len()) {
            return Reach::Perhaps;
        }
    }
    Reach::No
}

fn starts_of(part: Part) -> &'static [Place] {
    match part {
        Part::Dir => &[Place::Border],
        Part::Stem => &[Place::PlainStart, Place::StemStart],
        Part::Ext => &[Place::ExtStart],
    }
}

/// Breadth first, so that what is found is among the shortest.
struct Search<N> {
    /// With where each came from and by which character.
    nodes: Vec<(N, usize, Option<char>)>,
    known: HashSet<N>,
    queue: VecDeque<usize>,
}

impl<N: Clone + Eq + std::hash::Hash> Search<N> {
    fn from(start: N) -> Self {
        let mut search = Search { nodes: Vec::new(), known: HashSet::new(), queue: VecDeque::new() };
        search.add(0, None, start);
        search
    }

    fn add(&mut self, from: usize, letter: Option<char>, node: N) {
        if self.known.insert(node.clone()) {
            self.queue.push_back(self.nodes.len());
            self.nodes.push((node, from, letter));
        }
    }

    fn next(&mut self) -> Option<(usize, N)> {
        let at = self.queue.pop_front()?;
        Some((at, self.nodes[at].0.clone()))
    }

    fn node(&self, at: usize) -> &N {
        &self.nodes[at].0
    }

    fn letter(&self, at: usize) -> Option<char> {
        self.nodes[at].2
    }

    /// From behind the start to here.
    fn path(&self, mut at: usize) -> Vec<usize> {
        let mut path = Vec::new();
        while at != 0 {
            path.push(at);
            at = self.nodes[at].1;
        }
        path.reverse();
        path
    }

    fn text(&self, at: usize) -> String {
        self.path(at).into_iter().filter_map(|at| self.letter(at)).collect()
    }

    fn is_too_large(&self, states_per_node: usize) -> bool {
        self.nodes.len() * (states_per_node + 1) > STATES_MAX
    }
}
