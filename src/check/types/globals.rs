//! The globals that a file reads and sets.

use luau_common::ByteSlice;
use luau_syntax::ast::{AstVisitor, Block, Expression, ExpressionKind, Statement};
use luau_syntax::location::Location;

/// A global of a file.
pub struct Global {
    pub name: String,
    pub location: Location,
}

/// The globals of a file, in the order of their places.
#[derive(Default)]
pub struct Globals {
    pub read: Vec<Global>,
    pub set: Vec<Global>,
}

impl Globals {
    pub fn of(root: Block) -> Self {
        let mut globals = Self::default();
        root.visit(&mut globals);
        let is_set = |read: &Global| globals.set.iter().any(|set| set.name == read.name);
        globals.read.retain(|read| !is_set(read));
        globals
    }
}

fn global(expression: Expression) -> Option<Global> {
    match expression.kind() {
        ExpressionKind::Global(name) => Some(Global {
            name: name.bytes().to_str_lossy().into_owned(),
            location: expression.location(),
        }),
        _ => None,
    }
}

impl<'ast> AstVisitor<'ast> for Globals {
    fn visit_assign_statement(&mut self, statement: Statement<'ast>) -> bool {
        let assign = statement.as_assign();
        let variables = assign.map(|assign| assign.vars).unwrap_or_default();
        self.set
            .extend(variables.iter().filter_map(|variable| global(*variable)));
        true
    }

    fn visit_function_declaration_statement(&mut self, statement: Statement<'ast>) -> bool {
        let declaration = statement.as_function_declaration();
        self.set
            .extend(declaration.and_then(|declaration| global(declaration.name)));
        true
    }

    fn visit_global_expression(&mut self, expression: Expression<'ast>) -> bool {
        self.read.extend(global(expression));
        true
    }
}
