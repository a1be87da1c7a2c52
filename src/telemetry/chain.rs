//! Errors with their causes.

use std::error::Error;
use std::iter::successors;

/// Returns the message of an error, followed by those of its causes: `cannot bind: Permission
/// denied`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let errors = successors(Some(error), |error| (*error).source());
    errors
        .map(ToString::to_string)
        .map(|text| without_number(&text).to_owned())
        .collect::<Vec<_>>()
        .join(": ")
}

/// Removes the number of a system error from the end of a text: `Permission denied (os error 13)`.
pub fn without_number(text: &str) -> &str {
    match text.rsplit_once(" (os error ") {
        Some((before, number))
            if number.trim_start_matches(|c: char| c.is_ascii_digit()) == ")" =>
        {
            before
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot start")]
    struct StartError(#[source] io::Error);

    #[test]
    fn causes_follow_their_errors() {
        let cause = io::Error::other("no threads");
        assert_eq!(chain(&cause), "no threads");
        assert_eq!(chain(&StartError(cause)), "cannot start: no threads");
        let cause = io::Error::from_raw_os_error(13);
        assert_eq!(chain(&StartError(cause)), "cannot start: Permission denied");
    }
}
