//! The options of `csv.transform`, read and checked as far as that is possible without a file.

use super::marks::Syntax;
use super::values::Kind;
use crate::options;
use filemill_core::limits::COLUMNS_MAX;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor, value::MapAccessDeserializer};
use serde_json::{Map, Value};
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    Csv,
    Json,
    Jsonl,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ragged {
    #[default]
    Error,
    Pad,
    Reject,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadRecord {
    #[default]
    Error,
    Reject,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LineEnd {
    #[default]
    Keep,
    Lf,
    Crlf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Types {
    #[default]
    Text,
    Infer,
}

/// A column of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnRef {
    Name(String),
    /// From 1.
    Number(usize),
}

/// A column of the output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub from: ColumnRef,
    pub to: Option<String>,
    /// `None`: as `types` says.
    pub kind: Option<Kind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    to: To,
    columns: Option<Vec<Wanted>>,
    #[serde(default)]
    drop: Vec<ColumnRef>,
    #[serde(default)]
    rename: Map<String, Value>,
    #[serde(default = "yes")]
    header: bool,
    #[serde(default = "comma")]
    delimiter: String,
    #[serde(default = "double_quote")]
    quote: String,
    output_delimiter: Option<String>,
    output_header: Option<bool>,
    #[serde(default)]
    line_end: LineEnd,
    #[serde(default)]
    types: Types,
    #[serde(default)]
    ragged: Ragged,
    #[serde(default)]
    on_bad_record: OnBadRecord,
    #[serde(default)]
    formula_guard: bool,
}

fn yes() -> bool {
    true
}

fn comma() -> String {
    ",".into()
}

fn double_quote() -> String {
    "\"".into()
}

#[derive(Debug)]
pub struct Settings {
    pub to: To,
    pub syntax: Syntax,
    pub has_header: bool,
    pub selection: Selection,
    /// Of columns that say nothing.
    pub kind: Kind,
    pub ragged: Ragged,
    pub on_bad_record: OnBadRecord,
    pub output_delimiter: u8,
    pub writes_header: bool,
    pub line_end: LineEnd,
    pub formula_guard: bool,
}

#[derive(Debug)]
pub enum Selection {
    /// These, in this order.
    Columns(Vec<Wanted>),
    /// All in order but for some, some of them under another name.
    All { drop: Vec<ColumnRef>, rename: Vec<(String, String)> },
}

impl Settings {
    pub fn read(options: &Map<String, Value>) -> Result<Self, String> {
        let options = options::read::<Options>(options)?;
        options.check_what_belongs_together()?;
        let syntax = Syntax { delimiter: delimiter("delimiter", &options.delimiter)?, quote: quote(&options.quote)? };
        if syntax.quote == Some(syntax.delimiter) {
            return Err("options \"delimiter\" and \"quote\" are the same character; use two".into());
        }
        let output_delimiter = match &options.output_delimiter {
            Some(text) => delimiter("output_delimiter", text)?,
            None => syntax.delimiter,
        };
        if options.to == To::Csv && output_delimiter == b'"' {
            return Err("a quote cannot delimit CSV that is written; it needs an \"output_delimiter\"".into());
        }
        let kind = if options.types == Types::Infer { Kind::Infer } else { Kind::Text };
        Ok(Settings {
            to: options.to,
            syntax,
            has_header: options.header,
            kind,
            ragged: options.ragged,
            on_bad_record: options.on_bad_record,
            output_delimiter,
            writes_header: options.output_header.unwrap_or(options.header),
            line_end: options.line_end,
            formula_guard: options.formula_guard,
            selection: options.selection()?,
        })
    }
}

impl Options {
    fn check_what_belongs_together(&self) -> Result<(), String> {
        let is_csv = self.to == To::Csv;
        for (name, is_used) in [
            ("output_delimiter", self.output_delimiter.is_some()),
            ("output_header", self.output_header.is_some()),
            ("line_end", self.line_end != LineEnd::Keep),
            ("formula_guard", self.formula_guard),
        ] {
            if is_used && !is_csv {
                return Err(format!("option {name:?} needs to = \"csv\""));
            }
        }
        if is_csv && self.types == Types::Infer {
            return Err("option \"types\" = \"infer\" needs to = \"json\" or \"jsonl\"; CSV has no types".into());
        }
        if self.columns.is_some() && !(self.drop.is_empty() && self.rename.is_empty()) {
            return Err(
                "\"columns\" cannot be used together with \"drop\" or \"rename\": it selects and renames".into()
            );
        }
        Ok(())
    }

    fn selection(self) -> Result<Selection, String> {
        let Some(columns) = self.columns else {
            let rename = self.rename.into_iter().map(|(old, new)| match new {
                Value::String(new) => Ok((old, new)),
                _ => Err(format!("option \"rename\": the new name of {old:?} is no string")),
            });
            return Ok(Selection::All { drop: self.drop, rename: rename.collect::<Result<_, _>>()? });
        };
        if columns.is_empty() || columns.len() > COLUMNS_MAX {
            return Err(format!(
                "option \"columns\" has {} entries; give 1 to {COLUMNS_MAX}, or leave it out",
                columns.len()
            ));
        }
        Ok(Selection::Columns(columns))
    }
}

fn delimiter(option: &str, text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(*byte),
        _ => Err(format!(
            "option {option:?} is {text:?}; give one ASCII character that ends no line, such as \",\" or \"\\t\""
        )),
    }
}

fn quote(text: &str) -> Result<Option<u8>, String> {
    match text.as_bytes() {
        [] => Ok(None),
        [byte] if byte.is_ascii() && !matches!(byte, b'\r' | b'\n') => Ok(Some(*byte)),
        _ => Err(format!("option \"quote\" is {text:?}; give one ASCII character that ends no line, or \"\" for none")),
    }
}

impl<'de> Deserialize<'de> for ColumnRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = ColumnRef;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, or its number from 1")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<ColumnRef, E> {
                Ok(ColumnRef::Name(name.into()))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<ColumnRef, E> {
                match usize::try_from(number) {
                    Ok(number @ 1..=COLUMNS_MAX) => Ok(ColumnRef::Number(number)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(Read)
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Entry {
            from: ColumnRef,
            to: Option<String>,
            #[serde(rename = "type")]
            kind: Option<Kind>,
        }
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column's name, its number from 1, or an object with \"from\"")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Wanted, E> {
                Ok(Wanted { from: ColumnRef::Name(name.into()), to: None, kind: None })
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Wanted, E> {
                let from = ColumnRef::deserialize(de::value::U64Deserializer::new(number))?;
                Ok(Wanted { from, to: None, kind: None })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Wanted, M::Error> {
                let Entry { from, to, kind } = Entry::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Wanted { from, to, kind })
            }
        }
        deserializer.deserialize_any(Read)
    }
}
