//! The index of a JSON text: one word for each value, in the order of the text, with keys before
//! their values.

use std::ops::Range;

use super::text::RawString;

/// The type of a value. A map is an object whose keys are data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Null,
    False,
    True,
    Number,
    String,
    Array,
    Object,
    Map,
}

const TAGS: [Tag; 8] = [
    Tag::Null,
    Tag::False,
    Tag::True,
    Tag::Number,
    Tag::String,
    Tag::Array,
    Tag::Object,
    Tag::Map,
];

/// A value: the tag in bits 0 to 2, the flags of a string in bits 3 and 4, the offset in the text
/// in bits 5 to 33, and in the upper 30 bits the length in the text, or for an array or object the
/// index of the word after it.
#[derive(Debug, Clone, Copy)]
struct Word(u64);

const ESCAPED: u64 = 1 << 3;
const WIDE: u64 = 1 << 4;
const OFFSET: u32 = 5;
const LENGTH: u32 = 34;
const OFFSET_MASK: u64 = (1 << (LENGTH - OFFSET)) - 1;

#[derive(Debug)]
pub(super) struct Tape(Vec<Word>);

impl Tape {
    pub(super) fn for_text(length: usize) -> Self {
        Tape(Vec::with_capacity(length / 12 + 1))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, tag: Tag, range: Range<usize>) {
        self.0.push(Word(
            tag as u64 | (range.start as u64) << OFFSET | (range.len() as u64) << LENGTH,
        ));
    }

    pub(super) fn push_string(&mut self, range: Range<usize>, escaped: bool, wide: bool) {
        self.push(Tag::String, range);
        let flags = if escaped { ESCAPED } else { 0 } | if wide { WIDE } else { 0 };
        if let Some(word) = self.0.last_mut() {
            word.0 |= flags;
        }
    }

    /// Ends the array or object at `at` here.
    pub(super) fn close(&mut self, at: usize) {
        let next = (self.0.len() as u64) << LENGTH;
        if let Some(word) = self.0.get_mut(at) {
            word.0 = word.0 & ((1 << LENGTH) - 1) | next;
        }
    }

    pub(super) fn tag(&self, at: usize) -> Tag {
        TAGS[(self.0[at].0 & 7) as usize]
    }

    pub(super) fn offset(&self, at: usize) -> usize {
        (self.0[at].0 >> OFFSET & OFFSET_MASK) as usize
    }

    pub(super) fn range(&self, at: usize) -> Range<usize> {
        let start = self.offset(at);
        start..start + self.length(at)
    }

    /// Returns the index of the value after the one at `at`.
    pub(super) fn next(&self, at: usize) -> usize {
        match self.tag(at) {
            Tag::Array | Tag::Object | Tag::Map => self.length(at),
            _ => at + 1,
        }
    }

    pub(super) fn string<'t>(&self, at: usize, text: &'t str) -> RawString<'t> {
        let word = self.0[at].0;
        RawString {
            raw: &text[self.range(at)],
            escaped: word & ESCAPED != 0,
            wide: word & WIDE != 0,
        }
    }

    /// Returns whether the string at `at` is plain ASCII of another length than `length`, without
    /// reading the text.
    pub(super) fn is_plain_other(&self, at: usize, length: usize) -> bool {
        self.0[at].0 & (ESCAPED | WIDE) == 0 && self.length(at) != length
    }

    fn length(&self, at: usize) -> usize {
        (self.0[at].0 >> LENGTH) as usize
    }
}
