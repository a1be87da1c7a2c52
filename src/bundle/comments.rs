//! The comments above the settings in `plugin.toml`, which become descriptions for administrators.

use std::collections::BTreeMap;

const TABLE: &str = "[settings]";

/// Returns the comment directly above each setting, as one line.
pub fn of_settings(manifest: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut comment = String::new();
    let mut inside = false;
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.starts_with(TABLE);
        }
        match (line.strip_prefix('#'), line.split_once('=')) {
            (Some(text), _) => join(&mut comment, text.trim_start_matches('#').trim()),
            (None, Some((key, _))) if inside && !comment.is_empty() && is_key(key.trim()) => {
                found
                    .entry(key.trim().to_owned())
                    .or_insert(std::mem::take(&mut comment));
            }
            _ => comment.clear(),
        }
    }
    found
}

/// Returns whether `text` is a key of the table, and not one inside a value.
fn is_key(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

fn join(comment: &mut String, text: &str) {
    if !comment.is_empty() && !text.is_empty() {
        comment.push(' ');
    }
    comment.push_str(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_belong_to_the_setting_below() {
        let text = "# the plugin\ndescription = 'x'\n\n# All of them.\n[settings]\n# where\n# it is\nroot = '/a' # not this\nbare = 1\n\
                    # lost\n\n'q-d' = 1\n# last\npools = [\n  # inner\n  { a = 1 },\n]\n[limits]\n# no\ncpu_ms = 1\n";
        let found = of_settings(text);
        let found: Vec<_> = found
            .iter()
            .map(|(setting, text)| (setting.as_str(), text.as_str()))
            .collect();
        assert_eq!(found, [("pools", "last"), ("root", "where it is")]);
    }
}
