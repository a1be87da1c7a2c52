//! Fields of a body by their path, read strictly: of a form that the engine does not document, nothing is guessed.

use std::borrow::Cow;

use crate::authz::{Document, Kind, Node, Refusal};

/// A place in a body, which may be empty.
#[derive(Debug, Clone)]
pub(super) struct Spot<'d> {
    /// Its path, as in `HostConfig.Binds[0]`.
    pub(super) via: String,
    node: Option<Node<'d>>,
}

impl<'d> Spot<'d> {
    pub(super) fn root(body: &'d Document) -> Self {
        Spot { via: String::new(), node: present(Some(body.root())) }
    }

    /// A field of this object; an absent object has absent fields only.
    pub(super) fn field(&self, name: &str) -> Result<Spot<'d>, Refusal> {
        let node = match self.node.filter(|node| node.kind() != Kind::Object) {
            Some(_) => return refused(&self.via, "it is not an object"),
            None => present(self.node.and_then(|node| node.get(name))),
        };
        let dot = if self.via.is_empty() { "" } else { "." };
        Ok(Spot { via: format!("{}{dot}{name}", self.via), node })
    }

    /// The items of this list; none of an absent one.
    pub(super) fn items(&self) -> Result<Vec<Spot<'d>>, Refusal> {
        let Some(node) = self.node else { return Ok(Vec::new()) };
        if node.kind() != Kind::Array {
            return refused(&self.via, "it is not a list");
        }
        let spot = |(at, node)| Spot { via: format!("{}[{at}]", self.via), node: present(Some(node)) };
        Ok(node.items().enumerate().map(spot).collect())
    }

    /// The text of this string, `None` when it is absent.
    pub(super) fn text(&self) -> Result<Option<Cow<'d, str>>, Refusal> {
        match self.node {
            None => Ok(None),
            Some(node) => {
                node.as_str().map_or_else(|| refused(&self.via, "it is not a string"), |text| Ok(Some(text)))
            }
        }
    }

    pub(super) fn is_true(&self) -> bool {
        self.node.and_then(Node::as_bool) == Some(true)
    }
}

fn present(node: Option<Node<'_>>) -> Option<Node<'_>> {
    node.filter(|node| !node.is_null())
}

pub(super) fn refused<T>(via: &str, reason: &'static str) -> Result<T, Refusal> {
    let via = if via.is_empty() { "the body" } else { via };
    Err(Refusal::HostPath { via: via.to_owned(), reason })
}
