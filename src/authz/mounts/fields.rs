//! Fields of a body by their path, read strictly: of a form that the engine does not document, nothing is guessed.

use std::borrow::Cow;

use crate::authz::{Document, Kind, Node, Refusal};

/// A place in a body, which may be empty.
#[derive(Debug, Clone)]
pub(super) struct Spot<'d> {
    /// Its path, as in `HostConfig.Binds[0]`; empty for one that is absent.
    pub(super) via: String,
    node: Option<Node<'d>>,
}

impl<'d> Spot<'d> {
    pub(super) fn root(body: &'d Document) -> Self {
        Spot {
            via: String::new(),
            node: present(Some(body.root())),
        }
    }

    /// A field of this object; an absent object has absent fields only.
    pub(super) fn field(&self, name: &str) -> Result<Spot<'d>, Refusal> {
        let [field] = self.fields([name])?;
        Ok(field)
    }

    /// Several fields of this object, in one pass over it.
    pub(super) fn fields<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Spot<'d>; N], Refusal> {
        let nodes = match self.node {
            Some(node) if node.kind() != Kind::Object => {
                return refused(&self.via, "it is not an object");
            }
            Some(node) => node.get_all(names),
            None => [None; N],
        };
        let dot = if self.via.is_empty() { "" } else { "." };
        let via = |index: usize| [&self.via, dot, names[index]].concat();
        Ok(std::array::from_fn(|index| match present(nodes[index]) {
            Some(node) => Spot {
                via: via(index),
                node: Some(node),
            },
            None => Spot {
                via: String::new(),
                node: None,
            },
        }))
    }

    /// The items of this list; none of an absent one.
    pub(super) fn items(&self) -> Result<Vec<Spot<'d>>, Refusal> {
        let Some(node) = self.node else {
            return Ok(Vec::new());
        };
        if node.kind() != Kind::Array {
            return refused(&self.via, "it is not a list");
        }
        let spot = |(at, node)| Spot {
            via: format!("{}[{at}]", self.via),
            node: present(Some(node)),
        };
        Ok(node.items().enumerate().map(spot).collect())
    }

    /// The text of this string, `None` when it is absent.
    pub(super) fn text(&self) -> Result<Option<Cow<'d, str>>, Refusal> {
        match self.node {
            None => Ok(None),
            Some(node) => node.as_str().map_or_else(
                || refused(&self.via, "it is not a string"),
                |text| Ok(Some(text)),
            ),
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
    Err(Refusal::HostPath {
        via: via.to_owned(),
        reason,
    })
}
