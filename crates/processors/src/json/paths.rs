//! Flat names of nested values: `{"a": {"b": 1}}` has a value named `a.b`.
//!
//! A tree of the keys that were met, each looked up once; the next key is guessed from the one before, because records
//! mostly look alike. Only names that lead to a column are kept without a limit: columns have one themselves.

use super::token::{self, Text};
use filemill_core::limits::{COLUMNS_MAX, MIB};
use std::collections::HashMap;
use std::ops::Range;

/// Nodes for keys that lead to no column; beyond them such keys are looked up each time.
const STRANGERS_MAX: usize = 10_000;
/// Bytes of one stranger's key that is worth remembering.
const STRANGER_BYTES_MAX: usize = 256;

/// Growing: keys, with those of bad records, and their bytes. Only columns are needed, and they have tighter limits.
const GROWN_MAX: usize = 2 * COLUMNS_MAX;
const GROWN_BYTES_MAX: usize = 4 * MIB as usize;
/// A longer name is data in the wrong place; and long names that many share would be glued together again and again.
pub const NAME_BYTES_MAX: usize = 4096;

pub const ROOT: u32 = 0;
/// A key of which only is known that it leads nowhere.
const NOWHERE: u32 = 1;

struct Node {
    parent: u32,
    key: Box<[u8]>,
    /// [`token::head`] of the key.
    head: u64,
    /// The node that came next last time.
    next: u32,
    column: Option<u32>,
    /// The names that start with this node's and a separator: of columns that can be reached from here.
    ahead: Range<usize>,
    /// Length of that start.
    behind: usize,
}

pub struct Paths {
    separator: Box<[u8]>,
    nodes: Vec<Node>,
    /// By the parent's number and the key.
    children: HashMap<Box<[u8]>, u32>,
    strangers: usize,
    bytes: usize,
    /// Of the columns, in order, each with its column.
    names: Vec<(Box<[u8]>, u32)>,
    /// Growing: the columns by name.
    grown: HashMap<Box<[u8]>, u32>,
    grows: bool,
    scratch: Vec<u8>,
}

impl Paths {
    /// To these columns.
    pub fn to(columns: &[String], separator: &str) -> Self {
        let mut paths = Paths::growing(separator);
        paths.grows = false;
        paths.names = columns.iter().map(|name| name.as_bytes().into()).zip(0..).collect();
        paths.names.sort_unstable();
        paths.nodes[ROOT as usize].ahead = 0..paths.names.len();
        paths
    }

    /// To columns that are found on the way.
    pub fn growing(separator: &str) -> Self {
        let node =
            || Node { parent: ROOT, key: Box::default(), head: 0, next: ROOT, column: None, ahead: 0..0, behind: 0 };
        Paths {
            separator: separator.as_bytes().into(),
            nodes: vec![node(), node()],
            children: HashMap::new(),
            strangers: 0,
            bytes: 0,
            names: Vec::new(),
            grown: HashMap::new(),
            grows: true,
            scratch: Vec::new(),
        }
    }

    pub fn column(&self, node: u32) -> Option<u32> {
        self.nodes[node as usize].column
    }

    /// May a column's name go on from here?
    pub fn leads(&self, node: u32) -> bool {
        !self.nodes[node as usize].ahead.is_empty()
    }

    /// The node of a key in the object of `parent`. `last` is the node before it in the record.
    #[inline]
    pub fn find(&mut self, last: u32, parent: u32, bytes: &[u8], key: Text) -> u32 {
        let guess = self.nodes[last as usize].next;
        let node = &self.nodes[guess as usize];
        let length = key.end - key.start;
        if node.parent == parent
            && !key.is_escaped
            && node.key.len() == length
            && node.head == token::head(bytes, key.start, key.end)
            && (length <= 8 || node.key[8..] == bytes[key.start + 8..key.end])
            && guess > NOWHERE
        {
            return guess;
        }
        let found = self.look_up(parent, &bytes[key.start..key.end], key.is_escaped);
        self.nodes[last as usize].next = found;
        found
    }

    fn look_up(&mut self, parent: u32, key: &[u8], is_escaped: bool) -> u32 {
        if parent == NOWHERE {
            return NOWHERE;
        }
        let mut address = std::mem::take(&mut self.scratch);
        address.clear();
        address.extend_from_slice(&parent.to_le_bytes());
        match is_escaped {
            true => token::unescape(key, &mut address),
            false => address.extend_from_slice(key),
        }
        let found = match self.children.get(&*address) {
            Some(node) => *node,
            None => self.add(parent, &address),
        };
        self.scratch = address;
        found
    }

    fn add(&mut self, parent: u32, address: &[u8]) -> u32 {
        let key = &address[size_of::<u32>()..];
        let (column, ahead) = self.ahead_of(parent, key);
        let is_full = self.nodes.len() >= GROWN_MAX || self.bytes >= GROWN_BYTES_MAX || key.len() > NAME_BYTES_MAX;
        if self.grows && is_full {
            return NOWHERE;
        }
        if !self.grows && column.is_none() && ahead.is_empty() {
            if self.strangers >= STRANGERS_MAX || key.len() > STRANGER_BYTES_MAX {
                return NOWHERE;
            }
            self.strangers += 1;
        }
        self.bytes += address.len();
        let number = self.nodes.len() as u32;
        let behind = self.nodes[parent as usize].behind + key.len() + self.separator.len();
        let head = token::head(key, 0, key.len());
        self.nodes.push(Node { parent, key: key.into(), head, next: ROOT, column, ahead, behind });
        self.children.insert(address.into(), number);
        number
    }

    /// The column that a key in the object of `parent` names, and the columns whose names go on from there. What all
    /// names ahead of the parent share is not looked at again.
    fn ahead_of(&self, parent: u32, key: &[u8]) -> (Option<u32>, Range<usize>) {
        let Node { ahead, behind, .. } = &self.nodes[parent as usize];
        let names = &self.names[ahead.clone()];
        let column = names.binary_search_by(|(name, _)| name[*behind..].cmp(key)).ok().map(|found| names[found].1);
        let prefix = [key, &self.separator].concat();
        let start = names.partition_point(|(name, _)| name[*behind..] < prefix[..]);
        let count = names[start..].partition_point(|(name, _)| name[*behind..].starts_with(&prefix));
        (column, ahead.start + start..ahead.start + start + count)
    }

    /// The name of a key in the object of `parent`.
    fn path(&self, parent: u32, key: &[u8]) -> Vec<u8> {
        let mut keys = vec![key];
        let mut at = parent;
        while at != ROOT {
            keys.push(&self.nodes[at as usize].key);
            at = self.nodes[at as usize].parent;
        }
        keys.reverse();
        keys.join(&self.separator[..])
    }

    /// The name of a node, as far as it is known.
    pub fn name(&self, node: u32) -> Option<String> {
        let found = &self.nodes[node as usize];
        (node > NOWHERE).then(|| String::from_utf8_lossy(&self.path(found.parent, &found.key)).into_owned())
    }

    /// The column that a node names; a new one gets the number `next`. Growing paths only; `None`: the name is too long.
    pub fn claim(&mut self, node: u32, next: u32) -> Option<u32> {
        let (parent, key) = (self.nodes[node as usize].parent, &self.nodes[node as usize].key);
        if node == NOWHERE || self.nodes[node as usize].behind > NAME_BYTES_MAX + self.separator.len() {
            return None;
        }
        let path = self.path(parent, key);
        let column = *self.grown.entry(path.into()).or_insert(next);
        self.nodes[node as usize].column = Some(column);
        Some(column)
    }
}
