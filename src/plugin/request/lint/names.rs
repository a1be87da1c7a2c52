//! What the names of a source stand for, as far as tokens tell.

use super::values::Values;
use crate::script::{Token, TokenKind};
use std::collections::{BTreeMap, BTreeSet};

/// A field of a request, or of one of its mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<'s> {
    /// The name before the dot, or of the variable that holds the field.
    name: &'s str,
    /// The field.
    pub field: &'s str,
    is_variable: bool,
}

/// The names of one source.
pub struct Names<'s> {
    /// Those of requests.
    requests: BTreeSet<&'s str>,
    /// Those of items of `req.mounts`.
    mounts: BTreeSet<&'s str>,
    /// The fields that variables hold; `None` where a variable may hold something else.
    variables: BTreeMap<&'s str, Option<&'s str>>,
}

impl Subject<'_> {
    /// Returns the expression as it stands in the source.
    pub fn shown(&self) -> String {
        if self.is_variable {
            return self.name.to_owned();
        }
        format!("{}.{}", self.name, self.field)
    }
}

impl<'s> Names<'s> {
    /// Collects the names of a source.
    pub fn of(tokens: &[Token<'s>]) -> Self {
        let mut names = Self {
            requests: BTreeSet::from(["req"]),
            mounts: BTreeSet::from(["mount"]),
            variables: BTreeMap::new(),
        };
        for at in 0..tokens.len() {
            names.requests.extend(hook_parameter(tokens, at));
        }
        for at in 0..tokens.len() {
            names.mounts.extend(names.mount_variable(tokens, at));
            names.declare(tokens, at);
        }
        names
    }

    /// Returns what the expression is whose last token is at `at`.
    pub fn ending_at(&self, tokens: &[Token<'s>], at: usize) -> Option<Subject<'s>> {
        let begins = at.checked_sub(2).filter(|_| sign(tokens, at - 1, "."));
        let begins = begins.unwrap_or(at);
        // A longer expression ends here: `x.y.action`, `f(x).action`, `x .. action`.
        let before = begins.checked_sub(1).map(|before| kind(tokens, before));
        if let Some(TokenKind::Sign("." | ":" | "..")) = before {
            return None;
        }
        let (subject, next) = self.beginning_at(tokens, begins)?;
        (next == at + 1).then_some(subject)
    }

    /// Returns what the expression is that begins at `at`, and where it ends.
    pub fn beginning_at(&self, tokens: &[Token<'s>], at: usize) -> Option<(Subject<'s>, usize)> {
        let name = name(tokens, at)?;
        if sign(tokens, at + 1, ".") {
            let field = self::name(tokens, at + 2)?;
            let holders = if field == "via" {
                &self.mounts
            } else {
                &self.requests
            };
            let known = holders.contains(name) && Values::of(field).is_some();
            let is_variable = false;
            return known.then_some((
                Subject {
                    name,
                    field,
                    is_variable,
                },
                at + 3,
            ));
        }
        let field = (*self.variables.get(name)?)?;
        let is_variable = true;
        Some((
            Subject {
                name,
                field,
                is_variable,
            },
            at + 1,
        ))
    }

    /// Returns the second variable of `for _, mount in req.mounts`, whose `for` is at `at`.
    fn mount_variable(&self, tokens: &[Token<'s>], at: usize) -> Option<&'s str> {
        if kind(tokens, at) != TokenKind::Name("for") || !sign(tokens, at + 2, ",") {
            return None;
        }
        let mut over = at + 5;
        if let TokenKind::Name("ipairs" | "pairs") = kind(tokens, over) {
            over += 2;
        }
        let is_request = self.requests.contains(name(tokens, over)?);
        let is_mounts = name(tokens, over + 2) == Some("mounts");
        (is_request && is_mounts).then(|| name(tokens, at + 3))?
    }

    /// Notes what a declaration or assignment that begins at `at` makes of its names.
    fn declare(&mut self, tokens: &[Token<'s>], at: usize) {
        match kind(tokens, at) {
            TokenKind::Name("local") => self.declare_locals(tokens, at + 1),
            TokenKind::Name("for") => self.declare_others(tokens, at + 1),
            TokenKind::Name("function") => {
                let open = (at..tokens.len()).find(|at| sign(tokens, *at, "("));
                self.declare_others(tokens, open.map_or(tokens.len(), |open| open + 1));
            }
            // An assignment, or a field of a table: then the variable is not judged.
            TokenKind::Name(name) if sign(tokens, at + 1, "=") => {
                let is_local = at > 0 && kind(tokens, at - 1) == TokenKind::Name("local");
                if !is_local {
                    self.variables.insert(name, None);
                }
            }
            _ => {}
        }
    }

    /// Declares `local action = req.action`; variables of other declarations are not judged.
    fn declare_locals(&mut self, tokens: &[Token<'s>], at: usize) {
        let value = sign(tokens, at + 1, "=").then(|| self.beginning_at(tokens, at + 2));
        let whole = |(subject, next): &(Subject<'s>, usize)| {
            !subject.is_variable && !continues(kind(tokens, *next))
        };
        let subject = value.flatten().filter(whole);
        let Some((subject, _)) = subject else {
            return self.declare_others(tokens, at);
        };
        if let Some(name) = name(tokens, at) {
            let field = self.variables.entry(name).or_insert(Some(subject.field));
            *field = field.filter(|field| *field == subject.field);
        }
    }

    /// Declares the names of a list as variables that hold something else.
    fn declare_others(&mut self, tokens: &[Token<'s>], from: usize) {
        let mut at = from;
        while let Some(name) = name(tokens, at).filter(|name| *name != "function") {
            self.variables.insert(name, None);
            if !sign(tokens, at + 1, ",") {
                break;
            }
            at += 2;
        }
    }
}

/// Returns the first parameter of a hook, `function authz.request(req)` or `request = function(req)`,
/// whose name is at `at`.
fn hook_parameter<'s>(tokens: &[Token<'s>], at: usize) -> Option<&'s str> {
    let TokenKind::Name("request" | "response") = kind(tokens, at) else {
        return None;
    };
    let assigned = sign(tokens, at + 1, "=") && name(tokens, at + 2) == Some("function");
    let open = if assigned { at + 3 } else { at + 1 };
    let declared = assigned || is_declared(tokens, at);
    (declared && sign(tokens, open, "(")).then(|| name(tokens, open + 1))?
}

/// Returns whether the name at `at` is that of a function: `function a.b.name`.
fn is_declared(tokens: &[Token<'_>], at: usize) -> bool {
    let mut at = at;
    while at >= 2 && (sign(tokens, at - 1, ".") || sign(tokens, at - 1, ":")) {
        at -= 2;
    }
    at >= 1 && kind(tokens, at - 1) == TokenKind::Name("function")
}

/// Returns whether an expression continues with this token.
fn continues(next: TokenKind<'_>) -> bool {
    match next {
        TokenKind::Name(name) => matches!(name, "and" | "or"),
        TokenKind::Sign(sign) => !matches!(sign, ";" | ")" | "}"),
        _ => false,
    }
}

fn name<'s>(tokens: &[Token<'s>], at: usize) -> Option<&'s str> {
    match kind(tokens, at) {
        TokenKind::Name(name) => Some(name),
        _ => None,
    }
}

/// Returns whether the token at `at` is this sign.
pub fn sign(tokens: &[Token<'_>], at: usize, sign: &str) -> bool {
    kind(tokens, at) == TokenKind::Sign(sign)
}

/// Returns what the token at `at` is.
pub fn kind<'s>(tokens: &[Token<'s>], at: usize) -> TokenKind<'s> {
    tokens.get(at).map_or(TokenKind::Other, |token| token.kind)
}
