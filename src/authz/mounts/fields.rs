//! Fields of a body by their path, read strictly: a form that the engine does not document is
//! refused, not guessed.

use std::borrow::Cow;

use crate::authz::{Document, Kind, Node, Refusal};

/// A field of a body, which may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyField<'o, 'd> {
    outer: Option<&'o BodyField<'o, 'd>>,
    step: Step,
    node: Option<Node<'d>>,
}

/// How a field is reached from the one around it.
#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Name(&'static str),
    Item(usize),
}

impl<'d> BodyField<'_, 'd> {
    pub(super) fn root(body: &'d Document) -> Self {
        BodyField {
            outer: None,
            step: Step::Root,
            node: present(Some(body.root())),
        }
    }

    /// Returns a field of this object. An absent object has absent fields only.
    pub(super) fn field(&self, name: &'static str) -> Result<BodyField<'_, 'd>, Refusal> {
        let [field] = self.fields([name])?;
        Ok(field)
    }

    /// Returns several fields of this object, in one pass over it.
    pub(super) fn fields<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<[BodyField<'_, 'd>; N], Refusal> {
        let nodes = match self.node {
            Some(node) if node.kind() != Kind::Object => {
                return Err(self.refusal("it is not an object"));
            }
            Some(node) => node.get_all(names),
            None => [None; N],
        };
        Ok(std::array::from_fn(|index| BodyField {
            outer: Some(self),
            step: Step::Name(names[index]),
            node: present(nodes[index]),
        }))
    }

    /// Returns the items of this list, none of an absent one.
    pub(super) fn items(&self) -> Result<impl Iterator<Item = BodyField<'_, 'd>>, Refusal> {
        if self.node.is_some_and(|node| node.kind() != Kind::Array) {
            return Err(self.refusal("it is not a list"));
        }
        let items = self.node.into_iter().flat_map(Node::items).enumerate();
        Ok(items.map(|(at, node)| BodyField {
            outer: Some(self),
            step: Step::Item(at),
            node: present(Some(node)),
        }))
    }

    /// Returns the text of this string, `None` when it is absent.
    pub(super) fn text(&self) -> Result<Option<Cow<'d, str>>, Refusal> {
        let Some(node) = self.node else {
            return Ok(None);
        };
        match node.as_str() {
            Some(text) => Ok(Some(text)),
            None => Err(self.refusal("it is not a string")),
        }
    }

    /// Returns the text of this string, empty when it is absent.
    pub(super) fn text_or_empty(&self) -> Result<Cow<'d, str>, Refusal> {
        self.text().map(Option::unwrap_or_default)
    }

    pub(super) fn is_true(&self) -> bool {
        self.node.and_then(Node::as_bool) == Some(true)
    }

    /// Returns its path, as in `HostConfig.Binds[0]`.
    pub(super) fn via(&self) -> String {
        let mut via = self.outer.map_or_else(String::new, BodyField::via);
        match self.step {
            Step::Root => {}
            Step::Name(name) => {
                if !via.is_empty() {
                    via.push('.');
                }
                via.push_str(name);
            }
            Step::Item(at) => via.extend(["[", &at.to_string(), "]"]),
        }
        via
    }

    /// Returns the refusal of a request for this field.
    pub(super) fn refusal(&self, reason: &'static str) -> Refusal {
        let via = match self.via() {
            via if via.is_empty() => "the body".to_owned(),
            via => via,
        };
        Refusal::HostPath { via, reason }
    }
}

/// Treats `null` as absent, as Go does.
fn present(node: Option<Node<'_>>) -> Option<Node<'_>> {
    node.filter(|node| !node.is_null())
}
