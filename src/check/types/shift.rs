//! Text that is added to a source before it is analysed, and the way back to the columns that the
//! author sees.

use luau_syntax::location::Position;

/// Text to add at a place of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addition {
    /// The place, before which it is added. Lines and columns count from 0, columns in bytes.
    pub at: Position,
    /// The text, without a line feed.
    pub text: String,
}

/// Returns the source with the additions, which must be sorted by their places.
pub fn extended(source: &[u8], additions: &[Addition]) -> Vec<u8> {
    let mut result = Vec::with_capacity(source.len());
    for (number, line) in source.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut done = 0;
        for addition in additions.iter().filter(|a| a.at.line as usize == number) {
            let at = (addition.at.column as usize).clamp(done, line.len());
            result.extend(&line[done..at]);
            result.extend(addition.text.as_bytes());
            done = at;
        }
        result.extend(&line[done..]);
    }
    result
}

/// Returns where a place of the extended source is in the source itself.
pub fn original(position: Position, additions: &[Addition]) -> Position {
    let mut column = position.column as usize;
    for addition in additions.iter().filter(|a| a.at.line == position.line) {
        let at = addition.at.column as usize;
        if column > at {
            column = at.max(column.saturating_sub(addition.text.len()));
        }
    }
    Position::new(position.line, u32::try_from(column).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_lead_back_to_the_source() {
        let additions = [(11, ": X"), (12, ": Y")].map(|(column, text)| Addition {
            at: Position::new(1, column),
            text: text.to_owned(),
        });
        let source = b"-- 1\nfunction f(a) b()\n";
        let text = extended(source, &additions);
        assert_eq!(text, b"-- 1\nfunction f(: Xa: Y) b()\n");
        for (column, expected) in [
            (5, 5),
            (11, 11),
            (13, 11),
            (14, 11),
            (15, 12),
            (18, 12),
            (20, 14),
        ] {
            let found = original(Position::new(1, column), &additions);
            assert_eq!(found, Position::new(1, expected), "{column}");
        }
        assert_eq!(
            original(Position::new(0, 4), &additions),
            Position::new(0, 4)
        );
    }
}
