//! The row of a method.

use super::{Interface, Shape};
use std::time::Duration;

/// The row of a method.
#[derive(Debug, PartialEq)]
pub struct Method {
    /// The name in the request's path, such as `VolumeDriver.Create`; the key of a row that is
    /// [`Answer::Uncalled`].
    pub wire: &'static str,
    /// The interface of the method.
    pub interface: Interface,
    /// How a call is answered.
    pub answer: Answer,
    /// The name of the hook.
    pub hook: &'static str,
    /// The names and the Luau types of the hook's arguments.
    pub arguments: &'static [(&'static str, &'static str)],
    /// The shape of the request.
    pub request: &'static Shape,
    /// The shape of the reply.
    pub reply: &'static Shape,
    /// The field of the request that names the object of the call, for the log.
    pub object: Option<&'static str>,
    /// The limit on the request's body, in bytes.
    pub body_limit: usize,
    /// The time limit on the hook, which is below the engine's own (protocol 1.6).
    pub deadline: Duration,
    /// What happens if a script does not have the hook.
    pub missing: Missing,
    /// The message for the engine's user if the reply is empty and that means something.
    pub absent: Option<&'static str>,
    /// Whether the engine takes an error for the object's absence, so that the connection must be
    /// closed instead (protocol 5.5).
    pub hang_up_on_failure: bool,
    /// How the reply depends on the request.
    pub tie: Option<Tie>,
    /// The field of the reply with a path that containers must reach. They reach only the
    /// propagated mount of a managed plugin (protocol 2.4).
    pub reachable: Option<&'static str>,
    /// The rank of a method that an engine calls when it starts (protocol 2.1). Of the methods
    /// that a plugin has, the engine calls the one with the lowest rank first.
    pub greeting: Option<u8>,
    /// A description for the reference.
    pub doc: &'static str,
}

/// How a call of a method is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// By the hook.
    Hook,
    /// By the policy.
    Policy,
    /// By Moondock, from the hooks that the log script has.
    LogCapabilities,
    /// By starting a log stream.
    StartLog,
    /// By stopping a log stream.
    StopLog,
    /// By a stream of what the hook emits.
    ReadLog,
    /// By the hook, and then by starting the metrics collector.
    StartMetrics,
    /// By stopping the metrics collector, and then by the hook.
    StopMetrics,
    /// Never: no request names the method. Moondock calls its hook on its own.
    Uncalled,
}

/// What happens if a script does not have a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The script is rejected.
    Refused,
    /// The script is rejected unless it has this other hook instead.
    Instead(&'static str),
    /// The engine gets the status 404, which it takes for "not implemented".
    NotFound,
    /// The engine gets this reply, in JSON.
    Answered(&'static str),
}

/// How a reply depends on its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tie {
    /// This record of the reply may only have fields that are unset in the same record of the
    /// request. The engine rejects any other, even with the same value (protocol 6.4).
    Unset(&'static str),
    /// This record of the reply must have this field of the request, unchanged (protocol 5.1).
    Echo(&'static str, &'static str),
}

/// The limit on a request's body, in bytes. Only those of authorization are larger.
const BODY_LIMIT: usize = 1 << 20;
/// The usual time limit on a hook.
const DEADLINE: Duration = Duration::from_secs(55);

impl Method {
    /// Creates a row with the usual limits and without exceptions.
    pub(super) const fn new(
        interface: Interface,
        wire: &'static str,
        hook: &'static str,
        request: &'static Shape,
        reply: &'static Shape,
        doc: &'static str,
    ) -> Self {
        Self {
            wire,
            interface,
            answer: Answer::Hook,
            hook,
            arguments: &[("req", "")],
            request,
            reply,
            object: None,
            body_limit: BODY_LIMIT,
            deadline: DEADLINE,
            missing: Missing::Refused,
            absent: None,
            hang_up_on_failure: false,
            tie: None,
            reachable: None,
            greeting: None,
            doc,
        }
    }

    /// Whether a script can have a hook for the method.
    pub fn has_hook(&self) -> bool {
        self.answer != Answer::LogCapabilities
    }

    /// Whether the engine calls the method. Moondock calls the hooks of all others on its own.
    pub fn is_called_by_engine(&self) -> bool {
        self.answer != Answer::Uncalled
    }

    /// Returns the name for authors, such as `volume.create`.
    pub fn key(&self) -> String {
        format!("{}.{}", self.interface.name(), self.hook)
    }

    /// Returns the names of the hook's arguments, such as `entries, info`.
    pub fn parameters(&self) -> String {
        self.arguments
            .iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Returns the Luau types of the hook's arguments, as the type stub names them.
    pub fn argument_types(&self) -> impl Iterator<Item = &'static str> {
        let request = match self.answer {
            // One table serves both hooks.
            Answer::Policy => "AuthzRequest",
            _ if self.request.fields.is_empty() => "{ [string]: any }",
            _ => self.request.name,
        };
        let types = self.arguments.iter();
        types.map(move |(_, ty)| if ty.is_empty() { request } else { ty })
    }

    /// Returns the Luau type of the hook's results, unless nothing reads them. It ends with `?` if
    /// the hook may return nothing.
    pub fn reply_type(&self) -> Option<String> {
        let fields = self.reply.fields;
        match self.answer {
            // A policy returns the decision and the reason one by one. `nil` denies.
            Answer::Policy => return Some("(boolean?, ...string?)".to_owned()),
            _ if fields.is_empty() => return None,
            _ => {}
        }
        let may_be_empty = self.absent.is_some() || fields.iter().all(|field| !field.required);
        let mark = if may_be_empty { "?" } else { "" };
        Some(format!("{}{mark}", self.reply.name))
    }

    pub(super) const fn arguments(
        mut self,
        arguments: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.arguments = arguments;
        self
    }

    pub(super) const fn about(mut self, field: &'static str) -> Self {
        self.object = Some(field);
        self
    }

    pub(super) const fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    pub(super) const fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = Duration::from_secs(seconds);
        self
    }

    pub(super) const fn without_deadline(mut self) -> Self {
        self.deadline = Duration::MAX;
        self
    }

    pub(super) const fn missing(mut self, missing: Missing) -> Self {
        self.missing = missing;
        self
    }

    pub(super) const fn absent(mut self, message: &'static str) -> Self {
        self.absent = Some(message);
        self
    }

    pub(super) const fn tie(mut self, tie: Tie) -> Self {
        self.tie = Some(tie);
        self
    }

    pub(super) const fn answer(mut self, answer: Answer) -> Self {
        self.answer = answer;
        self
    }

    pub(super) const fn reachable(mut self, field: &'static str) -> Self {
        self.reachable = Some(field);
        self
    }

    pub(super) const fn greeting(mut self, rank: u8) -> Self {
        self.greeting = Some(rank);
        self
    }

    pub(super) const fn hang_up_on_failure(mut self) -> Self {
        self.hang_up_on_failure = true;
        self
    }
}

/// Returns the row of a hook among `rows`. If there is none, the constant does not compile.
pub(super) const fn row_of(rows: &'static [Method], hook: &str) -> &'static Method {
    let mut at = 0;
    while at < rows.len() {
        if is_same(rows[at].hook, hook) {
            return &rows[at];
        }
        at += 1;
    }
    panic!("no row has this hook")
}

const fn is_same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
