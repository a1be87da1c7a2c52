//! The frames of a log stream: a big-endian length, then a protobuf `LogEntry` (protocol 8).

use prost::{DecodeError, Message};

/// A log entry. Fields that later engines add are skipped.
#[derive(Clone, PartialEq, Message)]
pub struct LogEntry {
    /// `stdout` or `stderr`.
    #[prost(string, tag = "1")]
    pub source: String,
    /// The time, in nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub time_nano: i64,
    /// The line, without a newline from the engine, and with one to it.
    #[prost(bytes = "vec", tag = "3")]
    pub line: Vec<u8>,
    /// Whether the entry is a part of a longer line.
    #[prost(bool, tag = "4")]
    pub partial: bool,
    /// The position of the part.
    #[prost(message, optional, tag = "5")]
    pub partial_log_metadata: Option<PartialMetadata>,
}

/// The position of a part in a longer line.
#[derive(Clone, PartialEq, Message)]
pub struct PartialMetadata {
    /// Whether the part is the last.
    #[prost(bool, tag = "1")]
    pub last: bool,
    /// The ID of the line.
    #[prost(string, tag = "2")]
    pub id: String,
    /// The number of the part, from 1.
    #[prost(int32, tag = "3")]
    pub ordinal: i32,
}

/// The beginning of a stream.
#[derive(Debug, PartialEq)]
pub enum Cut {
    /// The entries of complete frames, and the length of the frames in bytes.
    Entries(Vec<LogEntry>, usize),
    /// An incomplete frame, and how many bytes it has at least.
    Short(usize),
}

/// The size of the beginning of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Complete frames.
    Frames {
        /// Their number.
        count: usize,
        /// Their length in bytes.
        length: usize,
        /// About as many bytes as the container has printed for them.
        printed: usize,
    },
    /// An incomplete frame, and how many bytes it has at least.
    Short(usize),
}

/// A corrupt frame. The beginning of the next frame is then unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages are the documentation")]
pub enum FrameError {
    #[error("a frame has {length} bytes, more than the limit of {limit}")]
    TooLong { length: usize, limit: usize },
    #[error("a frame is not a log entry")]
    NotAnEntry(#[from] DecodeError),
}

/// The length of a frame's header in bytes.
const HEADER: usize = 4;
/// What a frame contains besides the line, in bytes.
const OVERHEAD: usize = 20;

/// Decodes the complete frames at the beginning of `bytes`, at most `count` of them.
///
/// # Errors
/// A first frame that is longer than `limit` bytes or is not a log entry. A later corrupt frame is
/// an error of the next call.
pub fn cut(bytes: &[u8], count: usize, limit: usize) -> Result<Cut, FrameError> {
    let (mut entries, mut taken) = (Vec::new(), 0);
    while entries.len() < count {
        match first(&bytes[taken..], limit) {
            Ok((Some(entry), length)) => {
                entries.push(entry);
                taken += length;
            }
            Ok((None, length)) if entries.is_empty() => return Ok(Cut::Short(length)),
            Err(error) if entries.is_empty() => return Err(error),
            _ => break,
        }
    }
    Ok(Cut::Entries(entries, taken))
}

/// Measures the complete frames at the beginning of `bytes`, without decoding them.
///
/// # Errors
/// A first frame that is longer than `limit` bytes.
pub fn measure(bytes: &[u8], limit: usize) -> Result<Measured, FrameError> {
    let (mut count, mut length, mut printed) = (0, 0, 0);
    loop {
        match body(&bytes[length..], limit) {
            Ok((Some(body), whole)) => {
                count += 1;
                length += whole;
                // With the newline.
                printed += body.len().saturating_sub(OVERHEAD) + 1;
            }
            Ok((None, whole)) if count == 0 => return Ok(Measured::Short(whole)),
            Err(error) if count == 0 => return Err(error),
            _ => {
                return Ok(Measured::Frames {
                    count,
                    length,
                    printed,
                });
            }
        }
    }
}

/// Returns the body of the first frame, or `None` and how many bytes the frame has at least.
fn body(bytes: &[u8], limit: usize) -> Result<(Option<&[u8]>, usize), FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok((None, HEADER));
    };
    let length = u32::from_be_bytes(*header) as usize;
    if length > limit {
        return Err(FrameError::TooLong { length, limit });
    }
    Ok((rest.get(..length), HEADER + length))
}

/// Returns the entry of the first frame, or `None`, and how many bytes the frame has at least.
fn first(bytes: &[u8], limit: usize) -> Result<(Option<LogEntry>, usize), FrameError> {
    let (body, length) = body(bytes, limit)?;
    Ok((body.map(LogEntry::decode).transpose()?, length))
}

/// Appends the frame of an entry to `bytes`.
pub fn frame(entry: &LogEntry, bytes: &mut Vec<u8>) {
    let length = u32::try_from(entry.encoded_len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&entry.encode_to_vec());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::error::Error;

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
    fn a_corrupt_frame_is_an_error_when_it_comes_first() {
        let mut bytes = stream(&["good"]);
        let good = bytes.len();
        bytes.extend_from_slice(b"\xff\xff\xff\xff");
        assert_eq!(
            cut(&bytes, 10, 1000),
            Ok(Cut::Entries(vec![entry("good")], good))
        );
        let long = FrameError::TooLong {
            length: 0xffff_ffff,
            limit: 1000,
        };
        assert_eq!(cut(&bytes[good..], 10, 1000), Err(long));
        let foreign = cut(b"\0\0\0\x02\xff\xff", 10, 1000).unwrap_err();
        assert_eq!(foreign.to_string(), "a frame is not a log entry");
        assert!(foreign.source().is_some());
    }

    #[test]
    fn frames_are_measured_as_they_are_cut() {
        let mut bytes = Vec::new();
        for line in ["", "hello", &"x".repeat(16 << 10)] {
            let line = LogEntry {
                partial: false,
                partial_log_metadata: None,
                ..entry(line)
            };
            frame(&line, &mut bytes);
        }
        let whole = bytes.len();
        let printed = match measure(&bytes, 20_000) {
            Ok(Measured::Frames {
                count: 3,
                length,
                printed,
            }) if length == whole => printed,
            other => panic!("{other:?}"),
        };
        let really = 1 + 6 + (16 << 10) + 1;
        assert!(
            printed.abs_diff(really) < 10,
            "{printed} instead of {really}"
        );
        assert_eq!(measure(&bytes[..3], 20_000), Ok(Measured::Short(4)));
        assert_eq!(measure(&bytes[..9], 20_000), Ok(Measured::Short(22)));
        bytes.extend_from_slice(b"\xff\xff\xff\xff");
        assert!(
            matches!(measure(&bytes, 20_000), Ok(Measured::Frames { length, .. }) if length == whole)
        );
        assert!(measure(&bytes[whole..], 20_000).is_err());
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
