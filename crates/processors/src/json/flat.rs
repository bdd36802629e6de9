//! A record as a row: for each column the place of its value in the record. Nested objects are flattened by dotted names,
//! an array is one value; an empty object is one too.
//!
//! It notes what makes a record unusable and leaves to others what then happens. It holds places, not bytes.

use super::fault::{Fault, clipped};
use super::paths::{NAME_BYTES_MAX, Paths, ROOT};
use super::records::Record;
use super::scan::{Kind, Sink};
use super::token::Text;
use filemill_core::limits::{MIB, VALUE_BYTES_MAX};
use std::ops::Range;

#[derive(Clone, Copy, Default)]
pub struct Cell {
    /// The record that it is of.
    stamp: u64,
    pub kind: Kind,
    start: u32,
    end: u32,
    /// Blanks within, among [`Flat::gaps`].
    gaps: (u32, u32),
}

impl Cell {
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Why a record is no row.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    NotAnObject,
    /// Two values have this column's name.
    Collision(u32),
    /// A value has a name that no column has; the name, where it is known.
    Unknown(Option<String>),
    /// A value is too long for a cell.
    TooLong(u32),
}

/// Columns that are found on the way.
#[derive(Default)]
pub struct Growth {
    columns_max: usize,
    /// The columns of this record, in order.
    pub touched: Vec<u32>,
    /// Of each column, the node that brought it.
    nodes: Vec<u32>,
    /// Why no further column can be taken: the search is over.
    pub overflow: Option<String>,
}

pub struct Flat {
    pub paths: Paths,
    cells: Vec<Cell>,
    gaps: Vec<(u32, u32)>,
    /// Counts records.
    stamp: u64,
    /// The objects that are open.
    parents: Vec<u32>,
    node: u32,
    /// Arrays and objects that are open since an array was.
    in_array: u32,
    array: (usize, usize),
    is_fresh: bool,
    pub refusal: Option<Refusal>,
    /// A value without a column makes the record unusable; otherwise it is passed over.
    refuses_unknown: bool,
    /// Values of this record that were passed over.
    pub ignored: u64,
    /// Where columns are found on the way.
    pub growth: Option<Growth>,
}

impl Flat {
    pub fn to(columns: &[String], separator: &str, refuses_unknown: bool) -> Self {
        Flat {
            cells: vec![Cell::default(); columns.len()],
            refuses_unknown,
            ..Flat::with(Paths::to(columns, separator), None)
        }
    }

    /// Finds columns, up to `columns_max`.
    pub fn growing(separator: &str, columns_max: usize) -> Self {
        Flat::with(Paths::growing(separator), Some(Growth { columns_max, ..Growth::default() }))
    }

    fn with(paths: Paths, growth: Option<Growth>) -> Self {
        Flat {
            paths,
            cells: Vec::new(),
            gaps: Vec::new(),
            stamp: 0,
            parents: Vec::new(),
            node: ROOT,
            in_array: 0,
            array: (0, 0),
            is_fresh: false,
            refusal: None,
            refuses_unknown: true,
            ignored: 0,
            growth,
        }
    }

    /// For each column its cell, if the record has a value there.
    #[inline]
    pub fn row(&self) -> impl Iterator<Item = Option<&Cell>> {
        self.cells.iter().map(|cell| (cell.stamp == self.stamp).then_some(cell))
    }

    pub fn gaps(&self, cell: &Cell) -> &[(u32, u32)] {
        &self.gaps[cell.gaps.0 as usize..cell.gaps.1 as usize]
    }

    pub fn columns(&self) -> usize {
        self.cells.len()
    }

    /// What is wrong with the record that was scanned last. `name` gives a column's name.
    pub fn fault(&self, record: &Record<'_>, name: impl Fn(u32) -> String) -> Option<Fault> {
        Some(match self.refusal.as_ref()? {
            Refusal::NotAnObject => record.unusable("a row is made of an object; this is none".into(), None),
            Refusal::Collision(column) => {
                let name = name(*column);
                record.unusable(format!("two values have the name {}", clipped(&name)), Some(name))
            }
            Refusal::TooLong(column) => {
                let name = name(*column);
                let fault = record.unusable(
                    format!("the value of {} is longer than {} MiB", clipped(&name), VALUE_BYTES_MAX as u64 / MIB),
                    Some(name),
                );
                Fault { code: "input_too_large", ..fault }
            }
            Refusal::Unknown(Some(name)) => {
                record.unusable(format!("the key {} is not among the columns", clipped(name)), Some(name.clone()))
            }
            Refusal::Unknown(None) => record.unusable("a key is not among the columns".into(), None),
        })
    }

    #[inline]
    fn leaf(&mut self, cell: Cell) {
        let column = match (self.paths.column(self.node), &mut self.growth) {
            (Some(column), _) => column,
            (None, None) => return self.stranger(cell.kind),
            (None, Some(growth)) => match growth.column(&mut self.paths, self.node) {
                Some(column) => column,
                None => return,
            },
        };
        if let Some(growth) = &mut self.growth {
            self.cells.resize(growth.nodes.len(), Cell::default());
            growth.touched.push(column);
        }
        let there = &mut self.cells[column as usize];
        if there.stamp == self.stamp {
            self.refusal.get_or_insert(Refusal::Collision(column));
        }
        if cell.end - cell.start > VALUE_BYTES_MAX as u32 {
            self.refusal.get_or_insert(Refusal::TooLong(column));
        }
        *there = Cell { stamp: self.stamp, ..cell };
    }

    #[cold]
    fn stranger(&mut self, kind: Kind) {
        // where other records have an object with values: all of them are missing
        if matches!(kind, Kind::Null | Kind::EmptyObject) && self.paths.leads(self.node) {
            return;
        }
        if self.refuses_unknown {
            let name = self.paths.name(self.node);
            self.refusal.get_or_insert(Refusal::Unknown(name));
        } else {
            self.ignored += 1;
        }
    }
}

impl Growth {
    #[cold]
    fn column(&mut self, paths: &mut Paths, node: u32) -> Option<u32> {
        let next = self.nodes.len() as u32;
        let Some(column) = paths.claim(node, next) else {
            self.overflow.get_or_insert(format!("names beyond {NAME_BYTES_MAX} bytes or too many of them"));
            return None;
        };
        if column == next {
            self.nodes.push(node);
        }
        if self.nodes.len() > self.columns_max {
            self.overflow.get_or_insert(format!("more than {} columns", self.columns_max));
        }
        Some(column)
    }

    pub fn name(&self, paths: &Paths, column: u32) -> String {
        paths.name(self.nodes[column as usize]).unwrap_or_default()
    }
}

impl Sink for Flat {
    #[inline]
    fn begin(&mut self) {
        self.stamp += 1;
        self.parents.clear();
        self.gaps.clear();
        if let Some(growth) = &mut self.growth {
            growth.touched.clear();
        }
        self.node = ROOT;
        self.in_array = 0;
        self.refusal = None;
        self.ignored = 0;
    }

    #[inline]
    fn key(&mut self, bytes: &[u8], key: Text) {
        if self.in_array > 0 {
            return;
        }
        self.is_fresh = false;
        let parent = self.parents.last().copied().unwrap_or(ROOT);
        self.node = self.paths.find(self.node, parent, bytes, key);
    }

    #[inline]
    fn scalar(&mut self, _bytes: &[u8], at: Range<usize>, kind: Kind) {
        if self.in_array > 0 {
            return;
        }
        if self.parents.is_empty() {
            self.refusal = Some(Refusal::NotAnObject);
            return;
        }
        self.leaf(Cell { stamp: 0, kind, start: at.start as u32, end: at.end as u32, gaps: (0, 0) });
    }

    #[inline]
    fn open(&mut self, _bytes: &[u8], at: usize, is_object: bool) {
        match (self.in_array, is_object) {
            (0, true) => {
                self.parents.push(self.node);
                self.is_fresh = true;
            }
            (0, false) => {
                self.in_array = 1;
                self.array = (at, self.gaps.len());
            }
            _ => self.in_array += 1,
        }
    }

    #[inline]
    fn close(&mut self, _bytes: &[u8], end: usize) {
        if self.in_array > 0 {
            self.in_array -= 1;
            if self.in_array == 0 {
                self.end_array(end);
            }
            return;
        }
        let node = self.parents.pop().unwrap_or(ROOT);
        if self.is_fresh && !self.parents.is_empty() {
            self.node = node;
            self.leaf(Cell { stamp: 0, kind: Kind::EmptyObject, start: 0, end: 0, gaps: (0, 0) });
        }
        self.is_fresh = false;
    }

    #[inline]
    fn gap(&mut self, at: Range<usize>) {
        if self.in_array > 0 {
            self.gaps.push((at.start as u32, at.end as u32));
        }
    }
}

impl Flat {
    fn end_array(&mut self, end: usize) {
        let (start, first_gap) = self.array;
        if self.parents.is_empty() {
            self.refusal = Some(Refusal::NotAnObject);
            return;
        }
        let gaps = (first_gap as u32, self.gaps.len() as u32);
        self.leaf(Cell { stamp: 0, kind: Kind::Array, start: start as u32, end: end as u32, gaps });
    }
}
