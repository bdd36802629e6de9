//! A record as it stands in the buffer: where its fields are, nothing copied, nothing unescaped.

/// The current record.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// The buffer: at least 32 bytes can be read from where any field starts, and 16 behind it.
    pub bytes: &'a [u8],
    pub from: usize,
    pub to: usize,
    /// Where its fields end.
    pub fields: &'a [u32],
    /// Is there any quote in it?
    pub has_quotes: bool,
    pub is_utf8: bool,
}

impl<'a> Record<'a> {
    /// Without its line end.
    pub fn raw(&self) -> &'a [u8] {
        &self.bytes[self.from..self.to]
    }

    /// How many fields it has.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Where the fields end in `bytes`.
    #[inline(always)]
    pub fn ends(&self) -> impl Iterator<Item = usize> {
        self.fields.iter().map(|end| *end as usize)
    }

    /// Where field `index` stands in `bytes`, quotes included; an empty place at the end for one that is missing.
    #[inline(always)]
    pub fn span(&self, index: usize) -> (usize, usize) {
        let Some(end) = self.fields.get(index) else { return (self.to, self.to) };
        let start = if index == 0 { self.from } else { self.fields[index - 1] as usize + 1 };
        (start, *end as usize)
    }

    /// As it stands in the input, quotes included.
    pub fn field(&self, index: usize) -> &'a [u8] {
        let (start, end) = self.span(index);
        &self.bytes[start..end]
    }
}
