//! The name that was probably meant.

/// Longer names are not compared: they are not typos, and comparing them takes long.
const MAX_LENGTH: usize = 100;

/// How similar two names must be, from 0 to 1.
const THRESHOLD: f64 = 0.8;

/// The similarity of names that differ in one letter, or in the order of two.
const ONE_EDIT: f64 = 0.99;

/// Returns the name that is most similar to `name`, if one is similar enough. Case counts only
/// between names that differ in nothing else.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_LENGTH {
        return None;
    }
    let lower = name.to_lowercase();
    let mut best: Option<([f64; 2], &str)> = None;
    for other in names.filter(|other| other.len() <= MAX_LENGTH) {
        let rating = [
            similarity(&lower, &other.to_lowercase()),
            similarity(name, other),
        ];
        let is_better = best.is_none_or(|(best, _)| rating > best);
        if rating[0] > THRESHOLD && is_better {
            best = Some((rating, other));
        }
    }
    best.map(|(_, other)| other)
}

/// Returns the end of a message about an unknown name: the near one, if there is one.
pub fn suggestion(near: Option<&str>) -> String {
    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

/// Rates by Jaro and Winkler, whose measure is too low for an edit in a short name (`mut` for
/// `mtu`).
fn similarity(name: &str, other: &str) -> f64 {
    if other.len() > 2 && strsim::osa_distance(name, other) == 1 {
        ONE_EDIT
    } else {
        strsim::jaro_winkler(name, other)
    }
}
