//! One pass over a JSON text, which checks its grammar and writes the tape.

use std::ops::Range;

use super::Document;
use super::keys::{OpenKeys, Position};
use super::tape::{Tag, Tape};
use crate::authz::{JsonFault, Refusal};

type Checked<T> = Result<T, (JsonFault, usize)>;

/// Returns the bytes as text, if they are UTF-8 and below the limit.
pub(super) fn checked(bytes: Vec<u8>) -> Result<String, Refusal> {
    if bytes.len() > Document::MAX_BYTES {
        return Err(refusal((JsonFault::TooLarge, Document::MAX_BYTES)));
    }
    String::from_utf8(bytes)
        .map_err(|error| refusal((JsonFault::Utf8, error.utf8_error().valid_up_to())))
}

/// Scans a whole text into a tape.
pub(super) fn tape(text: &str) -> Result<Tape, Refusal> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        depth: 0,
        tape: Tape::for_text(text.len()),
        keys: OpenKeys::new(),
    };
    scanner.document().map_err(refusal)?;
    Ok(scanner.tape)
}

fn refusal((fault, at): (JsonFault, usize)) -> Refusal {
    Refusal::Json { fault, at }
}

struct Scanner<'t> {
    text: &'t str,
    bytes: &'t [u8],
    at: usize,
    depth: usize,
    tape: Tape,
    keys: OpenKeys,
}

impl Scanner<'_> {
    fn document(&mut self) -> Checked<()> {
        self.value(Position::Loose)?;
        self.skip_space();
        if self.at < self.bytes.len() {
            self.fault(JsonFault::Trailing)
        } else {
            Ok(())
        }
    }

    fn value(&mut self, position: Position) -> Checked<()> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(|scanner| scanner.object(position)),
            Some(b'[') => self.nested(Self::array),
            Some(b't') => self.word("true", Tag::True),
            Some(b'f') => self.word("false", Tag::False),
            Some(b'n') => self.word("null", Tag::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.fault(JsonFault::Syntax),
            None => self.fault(JsonFault::Incomplete),
        }
    }

    fn nested(&mut self, inside: impl FnOnce(&mut Self) -> Checked<()>) -> Checked<()> {
        if self.depth == Document::MAX_DEPTH {
            return self.fault(JsonFault::Depth);
        }
        self.depth += 1;
        inside(self)?;
        self.depth -= 1;
        Ok(())
    }

    fn object(&mut self, position: Position) -> Checked<()> {
        let (open, mark) = (self.open(position.tag()), self.keys.mark());
        let mut more = !self.closes(b'}');
        while more {
            let key = self.key()?;
            let inner = if self.peek() == Some(b'{') {
                self.position_of(position, key)
            } else {
                Position::Loose
            };
            self.value(inner)?;
            more = self.continues(b'}')?;
        }
        self.tape.close(open);
        self.keys.close(mark, position.tag(), &self.tape, self.text)
    }

    fn array(&mut self) -> Checked<()> {
        let open = self.open(Tag::Array);
        let mut more = !self.closes(b']');
        while more {
            self.value(Position::Loose)?;
            more = self.continues(b']')?;
        }
        self.tape.close(open);
        Ok(())
    }

    fn open(&mut self, tag: Tag) -> usize {
        self.tape.push(tag, self.at..self.at);
        self.at += 1;
        self.tape.len() - 1
    }

    fn key(&mut self) -> Checked<usize> {
        if self.peek() != Some(b'"') {
            return self.fault(self.unexpected());
        }
        let key = self.tape.len();
        self.string()?;
        self.keys.add(self.tape.string(key, self.text), key);
        if self.peek() != Some(b':') {
            return self.fault(self.unexpected());
        }
        self.at += 1;
        Ok(key)
    }

    fn position_of(&self, position: Position, key: usize) -> Position {
        position.of_field(self.tape.string(key, self.text))
    }

    fn closes(&mut self, end: u8) -> bool {
        let closes = self.peek() == Some(end);
        self.at += usize::from(closes);
        closes
    }

    /// Reads what follows a value: a comma, or the end of the object or array. Returns whether more
    /// values follow.
    fn continues(&mut self, end: u8) -> Checked<bool> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ => self.fault(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, tag: Tag) -> Checked<()> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fault(JsonFault::Syntax);
        }
        self.tape.push(tag, self.at..self.at + word.len());
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Checked<()> {
        let range = self.number_range().ok_or((JsonFault::Number, self.at))?;
        if !self.is_finite(&range) {
            return self.fault(JsonFault::Number);
        }
        self.at = range.end;
        self.tape.push(Tag::Number, range);
        Ok(())
    }

    fn number_range(&self) -> Option<Range<usize>> {
        let start = self.at;
        let integer = start + usize::from(self.bytes[start] == b'-');
        let mut end = match self.bytes.get(integer)? {
            b'0' => integer + 1,
            _ => self.digits(integer)?,
        };
        if self.bytes.get(end) == Some(&b'.') {
            end = self.digits(end + 1)?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(end) {
            let sign = matches!(self.bytes.get(end + 1), Some(b'+' | b'-'));
            end = self.digits(end + 1 + usize::from(sign))?;
        }
        let ends = !self
            .bytes
            .get(end)
            .is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-'));
        ends.then_some(start..end)
    }

    /// Returns the end of the digits at `from`, if there is at least one.
    fn digits(&self, from: usize) -> Option<usize> {
        let count = self
            .bytes
            .get(from..)?
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        (count > 0).then_some(from + count)
    }

    fn is_finite(&self, range: &Range<usize>) -> bool {
        let number = &self.text[range.clone()];
        let plain = number.len() < 300 && !number.contains(['e', 'E']);
        plain || number.parse::<f64>().is_ok_and(f64::is_finite)
    }

    fn string(&mut self) -> Checked<()> {
        self.at += 1;
        let start = self.at;
        let (mut escaped, mut wide) = (false, false);
        loop {
            let (special, beyond) = find_special(&self.bytes[self.at..]);
            wide |= beyond;
            self.at += special;
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return self.fault(JsonFault::Control),
                None => return self.fault(JsonFault::Incomplete),
            }
            escaped = true; // only an escape leads here
        }
        self.tape.push_string(start..self.at, escaped, wide);
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Checked<()> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => self.unicode_escape()?,
            Some(_) => return self.fault(JsonFault::Syntax),
            None => return self.fault(JsonFault::Incomplete),
        }
        Ok(())
    }

    fn unicode_escape(&mut self) -> Checked<()> {
        let length = match self.code_unit(self.at)? {
            0xd800..=0xdbff => match self.code_unit(self.at + 6) {
                Ok(0xdc00..=0xdfff) => 12,
                _ => return self.fault(JsonFault::Surrogate),
            },
            0xdc00..=0xdfff => return self.fault(JsonFault::Surrogate),
            _ => 6,
        };
        self.at += length;
        Ok(())
    }

    /// Returns the code unit of the `\uXXXX` at `at`.
    fn code_unit(&self, at: usize) -> Checked<u32> {
        let escape = self
            .bytes
            .get(at..at + 6)
            .filter(|escape| escape.starts_with(b"\\u"));
        let digits = escape
            .map(|escape| &escape[2..])
            .ok_or((JsonFault::Syntax, at))?;
        digits.iter().try_fold(0, |unit, digit| {
            let digit = char::from(*digit)
                .to_digit(16)
                .ok_or((JsonFault::Syntax, at))?;
            Ok(unit << 4 | digit)
        })
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn unexpected(&self) -> JsonFault {
        if self.at < self.bytes.len() {
            JsonFault::Syntax
        } else {
            JsonFault::Incomplete
        }
    }

    fn fault<T>(&self, fault: JsonFault) -> Checked<T> {
        Err((fault, self.at))
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Returns the distance to the next quote, backslash or control character, or to the end, and
/// whether bytes beyond ASCII precede it.
fn find_special(bytes: &[u8]) -> (usize, bool) {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut wide = 0;
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let special = specials(word);
        if special != 0 {
            // Below its lowest set bit the mark is exact, so bytes are counted up to there only.
            let before = (special & special.wrapping_neg()) - 1;
            return (
                index * 8 + special.trailing_zeros() as usize / 8,
                (wide | word & before) & HIGHS != 0,
            );
        }
        wide |= word;
    }
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))
        .unwrap_or(rest.len());
    (
        words.len() * 8 + end,
        wide & HIGHS != 0 || !rest[..end].is_ascii(),
    )
}

/// Sets the high bit of each byte that is a quote, a backslash or a control character. Exact for
/// the first such byte.
fn specials(word: u64) -> u64 {
    let below = |bytes: u64, limit: u64| bytes.wrapping_sub(ONES * limit) & !bytes;
    (below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1)) & HIGHS
}
