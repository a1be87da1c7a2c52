//! Options: what they are called, what they take, and where they go.

use super::commands::Command;
use super::uri::Query;
use super::values::{self, Parsed};
use super::{Result, near, refused};
use serde_json::{Map, Value, json};

/// What an option takes.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Nothing, or a truth after `=`.
    Flag,
    /// A value; the last one counts.
    One(fn(&str) -> Parsed),
    /// Values of a list.
    Many(fn(&str) -> Parsed),
    /// Keys and values of a map.
    Map(fn(&str) -> std::result::Result<(String, Value), String>),
    /// Conditions such as `name=x`.
    Filter,
    /// A file that the client would read.
    File,
}

/// Where the value of an option goes.
#[derive(Clone, Copy)]
pub enum To {
    /// A path into the body.
    Body(&'static str),
    /// A key of the query.
    Query(&'static str),
    /// Nowhere by itself: the command's own code reads it, or only the client uses it.
    Own,
}

/// One option.
pub struct Opt {
    pub long: &'static str,
    /// One letter, or nothing.
    pub short: &'static str,
    pub kind: Kind,
    pub to: To,
}

pub const fn opt(long: &'static str, short: &'static str, kind: Kind, to: To) -> Opt {
    Opt {
        long,
        short,
        kind,
        to,
    }
}

/// An option and the text that it was given.
struct Given {
    option: &'static Opt,
    text: String,
}

/// The arguments of a command.
pub struct Args {
    /// The words of the command.
    pub words: &'static str,
    given: Vec<Given>,
    /// What is no option.
    pub names: Vec<String>,
}

impl Args {
    pub fn parse(command: &'static Command, words: &[String]) -> Result<Args> {
        let mut args = Args {
            words: command.words[0],
            given: Vec::new(),
            names: Vec::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                args.names.extend(words.by_ref().cloned());
            } else if let Some(long) = word.strip_prefix("--") {
                args.long(command, long, &mut words)?;
            } else if word.len() > 1 && word.starts_with('-') {
                args.short(command, &word[1..], &mut words)?;
            } else {
                args.names.push(word.clone());
                if command.passes_on {
                    args.names.extend(words.by_ref().cloned());
                }
            }
        }
        command.check_names(&args)?;
        Ok(args)
    }

    fn long<'a>(
        &mut self,
        command: &'static Command,
        word: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<()> {
        let (name, text) = match word.split_once('=') {
            Some((name, text)) => (name, Some(text.to_owned())),
            None => (word, None),
        };
        let Some(option) = command.options().find(|option| option.long == name) else {
            let known = command.options().map(|option| option.long);
            let hint = near(name, known).replace(" `", " `--");
            return refused(format!(
                "`docker {}` has no option `--{name}`{hint}",
                self.words
            ));
        };
        let text = match text {
            None if matches!(option.kind, Kind::Flag) => Some("true".to_owned()),
            None => rest.next().cloned(),
            some => some,
        };
        self.take(option, text)
    }

    /// A cluster such as `-it`, in which the last may have a value: `-p80`, `-p=80`, `-p 80`.
    fn short<'a>(
        &mut self,
        command: &'static Command,
        cluster: &str,
        rest: &mut impl Iterator<Item = &'a String>,
    ) -> Result<()> {
        let mut left = cluster;
        while let Some(letter) = left.chars().next() {
            let name = &left[..letter.len_utf8()];
            left = &left[letter.len_utf8()..];
            let Some(option) = command.options().find(|option| option.short == name) else {
                return refused(format!(
                    "`docker {}` has no option `-{name}`; write long options with two dashes",
                    self.words
                ));
            };
            let after = left.strip_prefix('=');
            if matches!(option.kind, Kind::Flag) && after.is_none() {
                self.take(option, Some("true".to_owned()))?;
                continue;
            }
            let text = match after.or(Some(left).filter(|left| !left.is_empty())) {
                Some(text) => Some(text.to_owned()),
                None => rest.next().cloned(),
            };
            return self.take(option, text);
        }
        Ok(())
    }

    /// Adds an option, if its value is one that the client would accept.
    fn take(&mut self, option: &'static Opt, text: Option<String>) -> Result<()> {
        let Some(text) = text else {
            return refused(format!("`--{}` needs a value", option.long));
        };
        let checked = match option.kind {
            Kind::Flag => values::truth(&text).map(|_| ()),
            Kind::One(parse) | Kind::Many(parse) => parse(&text).map(|_| ()),
            Kind::Map(parse) => parse(&text).map(|_| ()),
            Kind::Filter => values::setting(&text).map(|_| ()),
            Kind::File => {
                Err("files are not read here: write what is in the file as options".to_owned())
            }
        };
        if let Err(problem) = checked {
            return refused(format!("`--{} {text}`: {problem}", option.long));
        }
        self.given.push(Given { option, text });
        Ok(())
    }

    /// Whether an option was given.
    pub fn has(&self, long: &str) -> bool {
        self.given.iter().any(|given| given.option.long == long)
    }

    /// Returns the values of an option in their order.
    pub fn all(&self, long: &'static str) -> impl Iterator<Item = &str> {
        let of = move |given: &&Given| given.option.long == long;
        self.given
            .iter()
            .filter(of)
            .map(|given| given.text.as_str())
    }

    /// Returns the value of an option that counts.
    pub fn text(&self, long: &'static str) -> Option<&str> {
        self.all(long).last()
    }

    pub fn flag(&self, long: &'static str) -> bool {
        self.text(long)
            .is_some_and(|text| values::truth(text) == Ok(true))
    }

    /// Returns a name by its place, from 1.
    pub fn name(&self, place: usize) -> &str {
        self.names.get(place - 1).map_or("", String::as_str)
    }

    /// Returns the names from a place on, or nothing.
    pub fn rest(&self, place: usize) -> Value {
        match self.names.get(place - 1..) {
            Some(rest) if !rest.is_empty() => json!(rest),
            _ => Value::Null,
        }
    }

    /// Puts into a body what belongs there.
    pub fn fill(&self, body: &mut Value) {
        for Given { option, text } in &self.given {
            if let To::Body(path) = option.to {
                put(at(body, path), option.kind, text);
            }
        }
    }

    /// Adds to a query what belongs there.
    pub fn ask(&self, query: &mut Query) {
        for Given { option, text } in &self.given {
            let To::Query(key) = option.to else { continue };
            match option.kind {
                Kind::Flag if values::truth(text) == Ok(true) => query.set(key, "1"),
                Kind::Many(_) | Kind::Map(_) => query.add(key, text),
                Kind::One(parse) => query.set(key, &shown(&parse(text).unwrap_or_default())),
                Kind::Filter => query.set(key, &self.filters(option.long, &[])),
                Kind::Flag | Kind::File => {}
            }
        }
    }

    /// Returns the conditions of an option, and others, as the client writes them.
    pub fn filters(&self, long: &'static str, others: &[(&str, &str)]) -> String {
        let given = self
            .all(long)
            .map(|text| text.split_once('=').unwrap_or((text, "")));
        let mut filters = Map::new();
        for (key, value) in given.chain(others.iter().copied()) {
            let values = filters.entry(key).or_insert_with(|| json!({}));
            values[value] = true.into();
        }
        Value::Object(filters).to_string()
    }
}

/// Returns a value as it stands in a query.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Returns the place in a body.
pub fn at<'a>(body: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(body, |value, key| {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[key]
    })
}

fn put(place: &mut Value, kind: Kind, text: &str) {
    match kind {
        Kind::Flag => *place = (values::truth(text) == Ok(true)).into(),
        Kind::One(parse) => *place = parse(text).unwrap_or_default(),
        Kind::Many(parse) => push(place, parse(text).unwrap_or_default()),
        Kind::Map(parse) => {
            if let Ok((key, value)) = parse(text) {
                if !place.is_object() {
                    *place = json!({});
                }
                place[key] = value;
            }
        }
        Kind::Filter | Kind::File => {}
    }
}

/// Adds to a list that may be `null`.
pub fn push(place: &mut Value, value: Value) {
    match place {
        Value::Array(list) => list.push(value),
        other => *other = json!([value]),
    }
}
