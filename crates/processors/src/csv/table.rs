//! Which columns of a file become which of the result: the options laid over a file's first record.
//!
//! What is fixed here holds for all chunks, so that later ones make the same table from the survey's note.

use super::field;
use super::record::Record;
use super::settings::{ColumnRef, Selection, Settings, Wanted};
use super::values::Kind;
use filemill_core::limits::{MIB, SURVEY_NOTE_BYTES_MAX};
use filemill_core::ports::ProcessError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{HashMap, HashSet};

/// Names are held several times over, and JSON repeats them with every record.
pub const HEADER_BYTES_MAX: usize = MIB as usize;
/// Names of the result together: a column can be selected more than once.
const NAMES_BYTES_MAX: usize = 2 * MIB as usize;
/// Names of a file that a message lists.
const NAMES_LISTED_MAX: usize = 20;

/// What the first record of a file says about all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Cells as they are written, where the file has a header.
    cells: Option<Vec<Cell>>,
    /// Fields of a record.
    width: usize,
    pub line_end: String,
}

/// In the note: text, or the numbers of bytes that are no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Cell {
    Text(String),
    Bytes(Vec<u8>),
}

impl Cell {
    fn bytes(&self) -> &[u8] {
        match self {
            Cell::Text(text) => text.as_bytes(),
            Cell::Bytes(bytes) => bytes,
        }
    }
}

impl Head {
    /// Of the first record. An error speaks of the file as a whole.
    pub fn of(record: &Record<'_>, line_end: Option<&[u8]>, settings: &Settings) -> Result<Self, ProcessError> {
        let line_end = String::from_utf8_lossy(line_end.unwrap_or(b"\n")).into_owned();
        let width = record.len();
        if !settings.has_header {
            return Ok(Head { cells: None, width, line_end });
        }
        if record.raw().len() > HEADER_BYTES_MAX {
            let message = format!("the header is longer than {} MiB; is it one?", HEADER_BYTES_MAX >> 20);
            return Err(ProcessError::input("input_too_large", message));
        }
        let cell = |index| match String::from_utf8(record.field(index).to_vec()) {
            Ok(text) => Cell::Text(text),
            Err(e) => Cell::Bytes(e.into_bytes()),
        };
        Ok(Head { cells: Some((0..width).map(cell).collect()), width, line_end })
    }

    /// For later chunks, unless it is too long to be read with each of them.
    pub fn note(&self) -> Option<Value> {
        let note = serde_json::to_value(self).ok()?;
        (serde_json::to_vec(&note).ok()?.len() <= SURVEY_NOTE_BYTES_MAX).then_some(note)
    }

    pub fn from_note(note: &Value) -> Option<Self> {
        Head::deserialize(note).ok()
    }
}

/// A column of the result.
#[derive(Clone, Debug)]
pub struct Column {
    /// Of the input, from 0.
    pub source: usize,
    pub name: Vec<u8>,
    /// As the header writes it, where it keeps that name.
    pub cell: Option<Vec<u8>>,
    pub kind: Kind,
}

#[derive(Debug)]
pub struct Table {
    /// Fields that a record must have.
    pub width: usize,
    pub columns: Vec<Column>,
    /// All columns of the input, in order.
    pub is_whole: bool,
    /// A value may be bad.
    pub is_strict: bool,
    pub line_end: String,
    names: Vec<Vec<u8>>,
}

impl Table {
    pub fn of(head: &Head, settings: &Settings) -> Result<Self, ProcessError> {
        let width = head.width;
        let names = match &head.cells {
            Some(cells) => cells.iter().map(|cell| said(cell.bytes(), settings)).collect(),
            None => (1..=width).map(|number| format!("column_{number}").into_bytes()).collect::<Vec<_>>(),
        };
        let column = |source: usize| Column {
            source,
            name: names[source].clone(),
            cell: head.cells.as_ref().map(|cells| cells[source].bytes().to_vec()),
            kind: settings.kind,
        };
        let by_name = ByName::of(&names);
        let columns = match &settings.selection {
            Selection::Columns(wanted) => selected(wanted, &by_name, column)?,
            Selection::All { drop, rename } => remaining(drop, rename, &by_name, (0..width).map(column).collect())?,
        };
        let is_whole = columns.len() == width && columns.iter().enumerate().all(|(index, c)| c.source == index);
        let is_strict = columns.iter().any(|column| column.kind.is_strict());
        Ok(Table { width, columns, is_whole, is_strict, line_end: head.line_end.clone(), names })
    }

    /// A column of the input, for people: its name, or its number if that says nothing.
    pub fn name(&self, source: usize) -> String {
        match self.names.get(source) {
            Some(name) if !name.is_empty() => String::from_utf8_lossy(name).into_owned(),
            _ => (source + 1).to_string(),
        }
    }
}

impl Column {
    fn call(&mut self, name: &str) {
        (self.name, self.cell) = (name.as_bytes().to_vec(), None);
    }
}

fn selected(
    wanted: &[Wanted],
    by_name: &ByName<'_>,
    column: impl Fn(usize) -> Column,
) -> Result<Vec<Column>, ProcessError> {
    let (mut columns, mut bytes) = (Vec::with_capacity(wanted.len()), 0);
    for wanted in wanted {
        let mut column = column(by_name.find(&wanted.from)?);
        column.kind = wanted.kind.unwrap_or(column.kind);
        if let Some(name) = &wanted.to {
            column.call(name);
        }
        bytes += column.name.len();
        if bytes > NAMES_BYTES_MAX {
            let message = format!("the names of \"columns\" are longer than {} MiB together", NAMES_BYTES_MAX >> 20);
            return Err(ProcessError::input("input_too_large", message));
        }
        columns.push(column);
    }
    Ok(columns)
}

fn remaining(
    drop: &[ColumnRef],
    rename: &[(String, String)],
    by_name: &ByName<'_>,
    mut columns: Vec<Column>,
) -> Result<Vec<Column>, ProcessError> {
    for (old, new) in rename {
        columns[by_name.find(&ColumnRef::Name(old.clone()))?].call(new);
    }
    let dropped = drop.iter().map(|at| by_name.find(at)).collect::<Result<HashSet<_>, _>>()?;
    columns.retain(|column| !dropped.contains(&column.source));
    if columns.is_empty() {
        return Err(ProcessError::input("input_invalid", "\"drop\" leaves no column of this file; keep at least one"));
    }
    Ok(columns)
}

fn said(raw: &[u8], settings: &Settings) -> Vec<u8> {
    field::content(raw, settings.syntax.quote, &mut Vec::new()).to_vec()
}

/// The columns of a file by name.
struct ByName<'a> {
    names: &'a [Vec<u8>],
    /// The first two that have it.
    found: HashMap<&'a [u8], (usize, Option<usize>)>,
}

impl<'a> ByName<'a> {
    fn of(names: &'a [Vec<u8>]) -> Self {
        let mut found = HashMap::<&[u8], (usize, Option<usize>)>::new();
        for (index, name) in names.iter().enumerate() {
            found.entry(name).and_modify(|(_, second)| *second = second.or(Some(index))).or_insert((index, None));
        }
        ByName { names, found }
    }

    fn find(&self, wanted: &ColumnRef) -> Result<usize, ProcessError> {
        let message = match wanted {
            ColumnRef::Number(number) if *number <= self.names.len() => return Ok(number - 1),
            ColumnRef::Number(number) => format!("there is no column {number}: the file has {}", self.names.len()),
            ColumnRef::Name(name) => match self.found.get(name.as_bytes()) {
                Some((index, None)) => return Ok(*index),
                Some((first, Some(second))) => {
                    let (first, second) = (first + 1, second + 1);
                    format!("the name {name:?} stands over columns {first} and {second}; use the number")
                }
                None => format!("there is no column {name:?}: the file has {}", self.listed()),
            },
        };
        Err(ProcessError::input("input_invalid", message))
    }

    fn listed(&self) -> String {
        let shown = self.names.iter().take(NAMES_LISTED_MAX);
        let shown = shown.map(|name| format!("{:?}", shorten(&String::from_utf8_lossy(name)))).collect::<Vec<_>>();
        let more = if self.names.len() > NAMES_LISTED_MAX { ", ..." } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

/// Values and names in messages: enough of them to be found.
pub fn shorten(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// Names for JSON, each different from all others. One that is empty becomes `column_3` by its column's number from 1; one
/// that is taken gets `_2`, or the next number that is free. A name that stands in the file once is never changed.
pub fn unique_names(columns: &[Column]) -> Vec<Vec<u8>> {
    let mut taken: HashSet<Vec<u8>> = columns.iter().map(|c| c.name.clone()).filter(|name| !name.is_empty()).collect();
    let mut is_placed = HashSet::<Vec<u8>>::new();
    let mut next = HashMap::<Vec<u8>, u64>::new();
    let mut unique = Vec::with_capacity(columns.len());
    for column in columns {
        let mut name = column.name.clone();
        let is_free = if name.is_empty() {
            name = format!("column_{}", column.source + 1).into_bytes();
            taken.insert(name.clone())
        } else {
            is_placed.insert(name.clone())
        };
        if !is_free {
            let number = next.entry(name.clone()).or_insert(2);
            name = loop {
                let candidate = [&name[..], b"_", number.to_string().as_bytes()].concat();
                *number += 1;
                if taken.insert(candidate.clone()) {
                    break candidate;
                }
            };
        }
        unique.push(name);
    }
    unique
}
