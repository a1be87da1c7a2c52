//! The frames of a log stream: a big-endian length, then a protobuf `LogEntry` (protocol 8).

use prost::Message;

/// One entry as it is framed. Fields of later engines are skipped.
#[derive(Clone, PartialEq, Message)]
pub struct LogEntry {
    /// `stdout` or `stderr`.
    #[prost(string, tag = "1")]
    pub source: String,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub time_nano: i64,
    /// The line. From the engine without a newline, to the engine with one.
    #[prost(bytes = "vec", tag = "3")]
    pub line: Vec<u8>,
    /// Whether it is a piece of a longer line, be it the last.
    #[prost(bool, tag = "4")]
    pub partial: bool,
    /// Which piece.
    #[prost(message, optional, tag = "5")]
    pub partial_log_metadata: Option<PartialMetadata>,
}

/// Which piece of a line.
#[derive(Clone, PartialEq, Message)]
pub struct PartialMetadata {
    /// Whether it is the last.
    #[prost(bool, tag = "1")]
    pub last: bool,
    /// The line's name.
    #[prost(string, tag = "2")]
    pub id: String,
    /// The piece's number, from 1.
    #[prost(int32, tag = "3")]
    pub ordinal: i32,
}

/// What the beginning of a stream holds.
#[derive(Debug, PartialEq)]
pub enum Cut {
    /// Whole frames, in so many bytes.
    Entries(Vec<LogEntry>, usize),
    /// Not one whole frame: it needs at least so many bytes.
    Short(usize),
}

/// Why a stream cannot be read on: where the next frame begins is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum BadFrame {
    #[error("a frame of {length} bytes, where at most {most} are read")]
    Long { length: usize, most: usize },
    #[error("a frame that is no log entry: {0}")]
    Foreign(String),
}

const HEAD: usize = 4;

/// Takes whole frames off the beginning of `bytes`, at most `count` of them.
///
/// # Errors
/// When the first frame is longer than `most` bytes or no log entry. A later one is left for the next time.
pub fn cut(bytes: &[u8], count: usize, most: usize) -> Result<Cut, BadFrame> {
    let (mut entries, mut taken) = (Vec::new(), 0);
    while entries.len() < count {
        match first(&bytes[taken..], most) {
            Ok(Ok((entry, length))) => {
                entries.push(entry);
                taken += length;
            }
            Ok(Err(needed)) if entries.is_empty() => return Ok(Cut::Short(needed)),
            Err(bad) if entries.is_empty() => return Err(bad),
            _ => break,
        }
    }
    Ok(Cut::Entries(entries, taken))
}

/// The first frame and its length with the head, or how many bytes it needs.
fn first(bytes: &[u8], most: usize) -> Result<Result<(LogEntry, usize), usize>, BadFrame> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return Ok(Err(HEAD));
    };
    let length = u32::from_be_bytes(*head) as usize;
    if length > most {
        return Err(BadFrame::Long { length, most });
    }
    match rest.get(..length) {
        None => Ok(Err(HEAD + length)),
        Some(body) => {
            let entry = LogEntry::decode(body).map_err(|e| BadFrame::Foreign(e.to_string()))?;
            Ok(Ok((entry, HEAD + length)))
        }
    }
}

/// Adds the entry's frame to `bytes`.
pub fn frame(entry: &LogEntry, bytes: &mut Vec<u8>) {
    let length = u32::try_from(entry.encoded_len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&entry.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(line: &str) -> LogEntry {
        LogEntry {
            source: "stdout".to_owned(),
            time_nano: 1_732_440_000_123_456_789,
            line: line.into(),
            partial: true,
            partial_log_metadata: Some(PartialMetadata {
                last: true,
                id: "x".to_owned(),
                ordinal: 3,
            }),
        }
    }

    fn stream(lines: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in lines {
            frame(&entry(line), &mut bytes);
        }
        bytes
    }

    #[test]
    fn a_frame_is_what_the_engine_writes() {
        let hello = LogEntry {
            source: "stdout".into(),
            time_nano: 1,
            line: "hello".into(),
            ..LogEntry::default()
        };
        let mut bytes = Vec::new();
        frame(&hello, &mut bytes);
        assert_eq!(bytes, b"\0\0\0\x11\n\x06stdout\x10\x01\x1a\x05hello");
    }

    #[test]
    fn frames_split_anywhere_wait_for_the_rest() {
        let bytes = stream(&["one", "two"]);
        let first = bytes.len() / 2;
        for end in 0..bytes.len() {
            match cut(&bytes[..end], 10, 1000).unwrap() {
                Cut::Short(needed) => {
                    assert!(
                        end < first && needed > end && needed <= first,
                        "{end}: {needed}"
                    );
                }
                Cut::Entries(entries, taken) => {
                    assert_eq!((entries.len(), taken), (1, first), "{end}");
                }
            }
        }
        assert_eq!(
            cut(&bytes, 10, 1000),
            Ok(Cut::Entries(vec![entry("one"), entry("two")], bytes.len()))
        );
        assert_eq!(
            cut(&bytes, 1, 1000),
            Ok(Cut::Entries(vec![entry("one")], first))
        );
    }

    #[test]
    fn fields_of_later_engines_are_skipped() {
        let mut body = entry("x").encode_to_vec();
        body.extend_from_slice(b"\x32\x06\n\x01a\x12\x01b\x98\x06\x01");
        let mut bytes = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&body);
        assert_eq!(
            cut(&bytes, 1, 1000),
            Ok(Cut::Entries(vec![entry("x")], bytes.len()))
        );
    }

    #[test]
    fn a_corrupt_frame_is_reported_after_the_frames_before_it() {
        let mut bytes = stream(&["good"]);
        let good = bytes.len();
        bytes.extend_from_slice(b"\xff\xff\xff\xff");
        assert_eq!(
            cut(&bytes, 10, 1000),
            Ok(Cut::Entries(vec![entry("good")], good))
        );
        let long = BadFrame::Long {
            length: 0xffff_ffff,
            most: 1000,
        };
        assert_eq!(cut(&bytes[good..], 10, 1000), Err(long));
        let foreign = cut(b"\0\0\0\x02\xff\xff", 10, 1000)
            .unwrap_err()
            .to_string();
        assert!(
            foreign.starts_with("a frame that is no log entry: "),
            "{foreign}"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            if let Ok(Cut::Entries(_, taken)) = cut(&bytes, 100, 1000) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
