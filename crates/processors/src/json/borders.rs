//! Where the lines of an input start: a reader that notes the first line at or behind each border of a plan while the
//! bytes pass through it, with absolute numbers of lines and records.
//!
//! A record is a line that is not blank, as [`super::records`] has it. It knows no JSON.

use super::scan::is_blank;
use super::window::BYTE_ORDER_MARK;
use filemill_core::chunks::{ChunkPlan, Start};
use filemill_core::limits::IO_BLOCK_BYTES;
use std::io::{self, ErrorKind, Read};

pub struct Borders<'a> {
    input: &'a mut dyn Read,
    plan: ChunkPlan,
    /// The chunk whose start comes next.
    index: u32,
    starts: Vec<Start>,
    /// The line that has begun.
    line: Start,
    is_blank: bool,
    /// Bytes seen.
    at: u64,
    /// The input's first bytes, until they are read: they may be a byte order mark.
    head: Option<Vec<u8>>,
}

impl<'a> Borders<'a> {
    pub fn new(input: &'a mut dyn Read, plan: ChunkPlan) -> Self {
        let (starts, line) = (vec![Start::FIRST], Start::FIRST);
        Borders { input, plan, index: 1, starts, line, is_blank: true, at: 0, head: None }
    }

    /// Reads what is left.
    pub fn starts(mut self) -> io::Result<Vec<Start>> {
        let mut block =
            vec![0; usize::try_from(self.plan.input_bytes).unwrap_or(IO_BLOCK_BYTES).clamp(16, IO_BLOCK_BYTES)];
        while self.index < self.plan.count {
            match self.read(&mut block) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
                Ok(0) => break,
                Ok(_) => {}
            }
        }
        Ok(self.starts)
    }

    fn see(&mut self, block: &[u8]) {
        let mut from = 0;
        for newline in memchr::memchr_iter(b'\n', block) {
            self.is_blank = self.is_blank && block[from..newline].iter().all(|b| is_blank(*b));
            from = newline + 1;
            self.line = Start {
                at: self.at + from as u64,
                line: self.line.line + 1,
                record: self.line.record + u64::from(!self.is_blank),
            };
            self.is_blank = true;
            if self.index < self.plan.count && self.line.at >= self.plan.range(self.index).start {
                self.note_start();
            }
        }
        self.is_blank = self.is_blank && block[from..].iter().all(|b| is_blank(*b));
        self.at += block.len() as u64;
    }

    fn note_start(&mut self) {
        while self.index < self.plan.count && self.line.at >= self.plan.range(self.index).start {
            self.index += 1;
        }
        if self.line.at < self.plan.input_bytes {
            self.starts.push(self.line);
        }
    }

    fn read_head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        (&mut *self.input).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut head)?;
        if head == BYTE_ORDER_MARK {
            self.at = head.len() as u64;
        } else {
            self.see(&head);
        }
        Ok(head)
    }
}

impl Read for Borders<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut head = match self.head.take() {
            Some(head) => head,
            None => self.read_head()?,
        };
        let n = if head.is_empty() {
            let n = self.input.read(buf)?;
            self.see(&buf[..n]);
            n
        } else {
            let n = head.len().min(buf.len());
            buf[..n].copy_from_slice(&head[..n]);
            head.drain(..n);
            n
        };
        self.head = Some(head);
        Ok(n)
    }
}
