//! Places in the texts of Luau: `volume.lua:12: message`, and the frames of a traceback.

/// A file and a line, counted from 1.
pub type Place = (String, usize);

pub(super) use crate::host::{OWN, PRELUDE};

/// What stands for a file in the places of what is typed at a prompt.
pub(super) const PROMPT: &str = "input";

/// Returns whether Luau put a place in front of the message.
pub(super) fn has_place(message: &str) -> bool {
    split_place(message).is_some()
}

/// Splits `volume.lua:12: message`.
pub(super) fn split_place(message: &str) -> Option<(String, usize, &str)> {
    let (place, rest) = message.split_once(": ")?;
    let (file, line) = place.rsplit_once(':')?;
    let is_file = !file.is_empty() && !file.contains(char::is_whitespace);
    is_file.then_some((file.to_owned(), line.parse().ok()?, rest))
}

/// Splits a frame, `volume.lua:12 function get` or `volume.lua:12: in function 'get'`.
pub(super) fn split_frame(frame: &str) -> Option<Place> {
    let place = frame.split_whitespace().next()?.trim_end_matches(':');
    let (file, line) = place.rsplit_once(':')?;
    Some((file.to_owned(), line.parse().ok()?))
}

/// Removes the place in the prelude that Luau puts in front of errors of the functions it wraps.
pub(super) fn without_prelude(message: &str) -> &str {
    let place = message
        .strip_prefix(&PRELUDE[1..])
        .and_then(|rest| rest.strip_prefix(':'));
    match place.and_then(|rest| rest.split_once(": ")) {
        Some((line, rest)) if line.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => message,
    }
}
