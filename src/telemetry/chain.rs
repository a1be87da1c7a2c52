//! Errors with their causes.

use std::error::Error;
use std::iter::successors;

/// Returns the message of an error, followed by those of its causes: `cannot bind: permission
/// denied`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let errors = successors(Some(error), |error| (*error).source());
    errors
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
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
    }
}
