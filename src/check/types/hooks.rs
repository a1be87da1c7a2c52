//! The hooks of a script, as its source has them, and the types that their methods give them.

use super::shift::Addition;
use crate::protocol::{Interface, Method, methods_of};
use luau_syntax::ast::{
    Block, Expression, ExpressionKind, Function, Local, StatementView, TableItem,
};
use std::path::Path;

/// A function of the source that is a hook.
pub struct Hook<'ast> {
    pub method: &'static Method,
    pub function: &'ast Function<'ast>,
}

/// Returns the interface whose script is `file`.
pub fn interface_of(file: &Path) -> Option<Interface> {
    let mut all = Interface::ALL.into_iter();
    all.find(|interface| Path::new(&interface.file()) == file)
}

/// Finds the hooks of an interface's script: the functions in the table that it returns.
pub fn hooks_in(interface: Interface, root: Block<'_>) -> Vec<Hook<'_>> {
    let statements = root.as_slice();
    let returned = statements
        .iter()
        .rev()
        .find_map(|statement| match statement.view() {
            StatementView::Return(returned) => returned.expressions.first().copied(),
            _ => None,
        });
    let mut functions = Vec::new();
    match returned.map(inner) {
        Some(table) if table.as_table().is_some() => fields(table, &mut functions),
        Some(name) => {
            if let Some(local) = name.as_local() {
                let all = statements.iter();
                all.for_each(|statement| assigned(statement.view(), local.local, &mut functions));
            }
        }
        None => {}
    }
    let method = |name: &[u8]| {
        let mut methods = methods_of(interface).iter();
        methods.find(|method| method.has_hook() && method.hook.as_bytes() == name)
    };
    let hooks = functions.into_iter().filter_map(|(name, function)| {
        Some(Hook {
            method: method(name)?,
            function,
        })
    });
    hooks.collect()
}

/// A function under its name in a table.
type Named<'ast> = (&'ast [u8], &'ast Function<'ast>);

/// Collects the functions that a statement puts into the table of the variable `table`.
fn assigned<'ast>(
    statement: StatementView<'ast>,
    table: &Local<'ast>,
    functions: &mut Vec<Named<'ast>>,
) {
    match statement {
        StatementView::Local(local) => {
            for (binding, value) in local.bindings.iter().zip(local.values) {
                if binding.location == table.location {
                    fields(inner(*value), functions);
                }
            }
        }
        StatementView::Assign(assign) => {
            for (variable, value) in assign.vars.iter().zip(assign.values) {
                functions.extend(field_of(*variable, table).zip(value.as_function()));
            }
        }
        StatementView::FunctionDeclaration(declaration) => {
            functions
                .extend(field_of(declaration.name, table).zip(declaration.function.as_function()));
        }
        _ => {}
    }
}

/// Returns the name in `table.name`.
fn field_of<'ast>(expression: Expression<'ast>, table: &Local<'ast>) -> Option<&'ast [u8]> {
    let index = expression.as_index_name()?;
    let local = index.expr.as_local()?;
    (local.local.location == table.location).then(|| index.index.bytes())
}

/// Collects the functions in a table constructor.
fn fields<'ast>(table: Expression<'ast>, functions: &mut Vec<Named<'ast>>) {
    for item in table
        .as_table()
        .map(|table| table.items)
        .unwrap_or_default()
    {
        if let TableItem::Record { key, value } | TableItem::General { key, value } = item
            && let Some((key, function)) = key.as_string().zip(value.as_function())
        {
            functions.push((key.value.as_bytes(), function));
        }
    }
}

/// Returns an expression without parentheses and `:: type`.
fn inner(expression: Expression<'_>) -> Expression<'_> {
    match expression.kind() {
        ExpressionKind::Grouped(within) => inner(within),
        ExpressionKind::TypeAssertion { expr, .. } => inner(expr),
        _ => expression,
    }
}

/// Returns the annotations that hooks need and the author left out.
pub fn annotations(hooks: &[Hook]) -> Vec<Addition> {
    let mut additions: Vec<_> = hooks.iter().flat_map(annotations_of).collect();
    additions.sort_by_key(|addition| addition.at);
    additions
}

fn annotations_of(hook: &Hook) -> Vec<Addition> {
    let types = hook.method.argument_types();
    let parameters = hook.function.args.iter().zip(types);
    let missing =
        parameters.filter(|(parameter, ty)| parameter.annotation.is_none() && !ty.is_empty());
    let parameters = missing.map(|(parameter, ty)| (parameter.location.end, ty.to_owned()));
    let result = hook.function.arg_location.zip(hook.method.reply_type());
    let result = result.filter(|_| hook.function.return_annotation.is_none());
    let result = result.map(|(list, ty)| (list.end, ty));
    parameters
        .chain(result)
        .map(|(at, ty)| Addition {
            at,
            text: format!(": {ty}"),
        })
        .collect()
}
