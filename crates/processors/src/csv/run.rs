//! One chunk from its first record to its last: which records are good, and what becomes of those that are not.

use super::field;
use super::output::Output;
use super::place::Place;
use super::record::Record;
use super::records::Records;
use super::settings::{OnBadRecord, Ragged, Settings, To};
use super::table::{Head, Table, shorten};
use super::to_csv::ToCsv;
use super::to_json::ToJson;
use filemill_core::chunks::Start;
use filemill_core::limits::VALUE_BYTES_MAX;
use filemill_core::ports::{Chunk, ChunkReport, ProcessError, RejectSink, Work};
use filemill_core::reject::Reject;
use std::io::{self, Read};

/// Why a record is bad.
pub struct Fault {
    code: &'static str,
    /// Of the input, from 0.
    column: Option<usize>,
    /// Where the field starts in the buffer.
    at: Option<usize>,
    reason: String,
    is_ragged: bool,
}

impl Settings {
    /// From the start of a file; `advance` gives its first record that is no header. `None`: there is nothing in it.
    pub fn open<'r>(
        &self,
        input: &'r mut dyn Read,
        bytes: u64,
    ) -> Result<Option<(Records<'r>, Head, Table)>, ProcessError> {
        let mut records = self.records(input, Start::FIRST, bytes);
        if self.has_header {
            records = records.with_header();
        }
        records.skip_bom()?;
        if !records.advance()? {
            return Ok(None);
        }
        let line_end = records.line_end()?;
        let head = Head::of(&records.current(), line_end, self)?;
        let table = Table::of(&head, self)?;
        if !self.has_header {
            records.hold();
        }
        Ok(Some((records, head, table)))
    }

    pub fn records<'r>(&self, input: &'r mut dyn Read, start: Start, bytes: u64) -> Records<'r> {
        let records = Records::new(input, self.syntax, start, bytes);
        if self.to == To::Csv { records } else { records.checking_utf8() }
    }

    pub fn rejects(&self, fault: &Fault) -> bool {
        if fault.is_ragged { self.ragged == Ragged::Reject } else { self.on_bad_record == OnBadRecord::Reject }
    }

    /// Is the current record as it should be? An error is one that no setting forgives.
    #[inline]
    pub fn judge(
        &self,
        records: &mut Records<'_>,
        table: &Table,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<Fault>, ProcessError> {
        let record = records.current();
        if record.to - record.from > VALUE_BYTES_MAX {
            check_values(records, table)?;
        }
        let record = records.current();
        if record.len() != table.width && (self.ragged != Ragged::Pad || record.len() > table.width) {
            return Ok(Some(ragged(&record, table)));
        }
        let not_utf8 = if record.is_utf8 { None } else { self.not_utf8(&record, table, scratch) };
        if not_utf8.is_some() || !table.is_strict {
            return Ok(not_utf8);
        }
        Ok(self.misfit(&record, table, scratch))
    }

    #[cold]
    fn not_utf8(&self, record: &Record<'_>, table: &Table, scratch: &mut Vec<u8>) -> Option<Fault> {
        for column in &table.columns {
            let said = field::content(record.field(column.source), self.syntax.quote, scratch);
            if std::str::from_utf8(said).is_err() {
                let reason = "is not UTF-8, which JSON needs".into();
                return Some(Fault::of_value("input_encoding", record, column.source, reason));
            }
        }
        None
    }

    fn misfit(&self, record: &Record<'_>, table: &Table, scratch: &mut Vec<u8>) -> Option<Fault> {
        for column in table.columns.iter().filter(|column| column.kind.is_strict()) {
            let said = field::content(record.field(column.source), self.syntax.quote, scratch);
            if !column.kind.fits(said) {
                let shown = String::from_utf8_lossy(&said[..said.len().min(400)]);
                let reason = format!("{:?} is not {}", shorten(&shown), column.kind.name());
                return Some(Fault::of_value("input_invalid", record, column.source, reason));
            }
        }
        None
    }
}

impl Fault {
    fn of_value(code: &'static str, record: &Record<'_>, column: usize, reason: String) -> Self {
        Fault { code, column: Some(column), at: Some(record.span(column).0), reason, is_ragged: false }
    }

    pub fn into_error(self, records: &mut Records<'_>, table: &Table) -> ProcessError {
        let place = records.place();
        let at = self.at.map(|at| Place { record: place.record, line: records.line_at(at), byte: records.byte_at(at) });
        let place = at.unwrap_or(place);
        let message = match self.column {
            Some(column) => format!("{place}, column {:?}: {}", shorten(&table.name(column)), self.reason),
            None => format!("{place}: {}", self.reason),
        };
        ProcessError::input(self.code, message)
    }

    fn set_aside(
        &self,
        records: &mut Records<'_>,
        table: &Table,
        sink: &mut dyn RejectSink,
    ) -> Result<(), ProcessError> {
        let Place { line, byte, .. } = records.place();
        let column = self.column.map(|column| table.name(column));
        let record = records.current();
        let reject = Reject { line, byte, column: column.as_deref(), reason: &self.reason, record: record.raw() };
        Ok(sink.reject(&reject)?)
    }
}

#[cold]
fn ragged(record: &Record<'_>, table: &Table) -> Fault {
    let reason = format!("has {} where {} are expected", fields(record.len()), table.width);
    Fault { code: "input_invalid", column: None, at: None, reason, is_ragged: true }
}

fn fields(count: usize) -> String {
    if count == 1 { "1 field".into() } else { format!("{count} fields") }
}

#[cold]
fn check_values(records: &mut Records<'_>, table: &Table) -> Result<(), ProcessError> {
    let record = records.current();
    let long = (0..record.len()).find(|index| record.field(*index).len() > VALUE_BYTES_MAX);
    match long {
        None => Ok(()),
        Some(index) => {
            let mut fault = Fault::of_value("input_too_large", &record, index, String::new());
            fault.reason = format!("a value of more than {} MiB", VALUE_BYTES_MAX >> 20);
            Err(fault.into_error(records, table))
        }
    }
}

enum Writer {
    Csv(ToCsv),
    Json(ToJson),
}

impl Writer {
    /// Writes what stands before the first record of a file.
    fn start(
        table: &Table,
        settings: &Settings,
        chunk: &Chunk<'_>,
        out: &mut Output<'_>,
    ) -> Result<Self, ProcessError> {
        if settings.to != To::Csv {
            let is_array = settings.to == To::Json;
            return Ok(Writer::Json(ToJson::new(table, settings.syntax.quote, is_array, chunk)?));
        }
        let mut writer = ToCsv::new(table, settings);
        if settings.writes_header && chunk.range.start == 0 {
            writer.header(table, out)?;
        }
        Ok(Writer::Csv(writer))
    }

    #[inline]
    fn record(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> io::Result<()> {
        match self {
            Writer::Csv(writer) => writer.record(record, out),
            Writer::Json(writer) => writer.record(record, out),
        }
    }

    /// Returns how many cells were guarded.
    fn finish(&self, chunk: &Chunk<'_>, out: &mut Output<'_>) -> io::Result<u64> {
        match self {
            Writer::Csv(writer) => Ok(writer.guarded_cells),
            Writer::Json(writer) => writer.finish(chunk, out).map(|()| 0),
        }
    }
}

pub fn process(settings: &Settings, chunk: &Chunk<'_>, work: &mut Work<'_>) -> Result<ChunkReport, ProcessError> {
    let bytes = chunk.range.end - chunk.range.start;
    let mut input = (&mut *work.input).take(bytes);
    let mut out = Output::new(work.output, bytes);
    let Some((mut records, table)) = settings.begin(chunk, &mut input, bytes)? else {
        out.put(if settings.to == To::Json { b"[]\n" } else { b"" })?;
        out.flush()?;
        return Ok(settings.report(0, 0));
    };
    let mut writer = Writer::start(&table, settings, chunk, &mut out)?;
    let (mut count, mut scratch) = (0, Vec::new());
    while records.advance()? {
        count += 1;
        match settings.judge(&mut records, &table, &mut scratch)? {
            None => writer.record(&records.current(), &mut out)?,
            Some(fault) if settings.rejects(&fault) => fault.set_aside(&mut records, &table, work.rejects)?,
            Some(fault) => return Err(fault.into_error(&mut records, &table)),
        }
    }
    let guarded_cells = writer.finish(chunk, &mut out)?;
    out.flush()?;
    Ok(settings.report(count, guarded_cells))
}

impl Settings {
    /// `None`: there is nothing in the file.
    fn begin<'r>(
        &self,
        chunk: &Chunk<'_>,
        input: &'r mut dyn Read,
        bytes: u64,
    ) -> Result<Option<(Records<'r>, Table)>, ProcessError> {
        if chunk.range.start == 0 {
            return Ok(self.open(input, bytes)?.map(|(records, _, table)| (records, table)));
        }
        // the store gave this note back for another file, or this code changed while the job waited
        let foreign = || {
            ProcessError::input("input_invalid", "the survey's note does not belong to this file; start the job over")
        };
        let table = Table::of(&Head::from_note(chunk.note).ok_or_else(foreign)?, self)?;
        let start = Start { at: chunk.range.start, line: chunk.line, record: chunk.record };
        Ok(Some((self.records(input, start, bytes), table)))
    }

    fn report(&self, records: u64, guarded_cells: u64) -> ChunkReport {
        let mut report = ChunkReport { records, ..ChunkReport::default() };
        if self.formula_guard {
            report.summary.insert("guarded_cells".into(), guarded_cells.into());
        }
        report
    }
}
