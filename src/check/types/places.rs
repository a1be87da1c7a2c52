//! The places of a file whose types are not guessed. Moondock defines those of the arguments of its
//! functions, and of the fields of its requests, replies and options. The author defines those of
//! variables and results, where they are written.

use super::known::{is_own, keys, name, table};
use super::wording::unknown_key;
use luau_analysis::SemanticModel;
use luau_syntax::ast::{AstVisitor, Block, Expression, ExpressionKind, Statement, TableItem};
use luau_syntax::location::Location;

/// What is known of a file.
pub struct Places<'m, 'f> {
    model: &'m SemanticModel<'f>,
    judged: Vec<Location>,
    /// The functions of Moondock that are called.
    calls: Vec<Location>,
    /// The keys of table constructors that their types do not have.
    pub unknown_keys: Vec<(Location, String)>,
}

impl<'m, 'f> Places<'m, 'f> {
    pub fn of(model: &'m SemanticModel<'f>, root: Block<'f>) -> Self {
        let mut places = Self {
            model,
            judged: Vec::new(),
            calls: Vec::new(),
            unknown_keys: Vec::new(),
        };
        root.visit(&mut places);
        places
    }

    /// Whether the expression at `location` has a type that Moondock defines.
    pub fn contain(&self, location: Location) -> bool {
        self.judged.contains(&location)
    }

    /// Whether the expression at `location` is a function of Moondock that is called.
    pub fn calls(&self, location: Location) -> bool {
        self.calls.contains(&location)
    }

    /// Judges the keys of a table constructor.
    fn judge_keys(&mut self, items: &[TableItem], wanted: luau_analysis::types::TypeId) {
        let Some(wanted) = table(self.model.graph(), wanted).filter(|wanted| is_own(wanted)) else {
            return;
        };
        let known = keys(self.model.graph(), wanted);
        for item in items {
            let (TableItem::Record { key, value } | TableItem::General { key, value }) = item
            else {
                continue;
            };
            let Some(text) = key.as_string() else {
                continue;
            };
            let text = String::from_utf8_lossy(text.value.as_bytes());
            self.judged.push(value.location());
            if let Some(function) = value.as_function() {
                function.body.visit(&mut Returns(&mut self.judged));
            }
            if let Some(known) = &known
                && !known.iter().any(|known| *known == text)
            {
                let message = unknown_key(name(wanted).as_deref(), &text, known);
                self.unknown_keys.push((key.location(), message));
            }
        }
    }
}

impl<'f> AstVisitor<'f> for Places<'_, 'f> {
    fn visit_call_expression(&mut self, expression: Expression<'f>) -> bool {
        if let ExpressionKind::Call { func, args, .. } = expression.kind()
            && let Some(index) = func.as_index_name()
            && let Some(ty) = self.model.expression_type(index.expr)
            && table(self.model.graph(), ty.id()).is_some_and(is_own)
        {
            self.judged
                .extend(args.iter().map(|argument| argument.location()));
            self.calls.push(func.location());
        }
        true
    }

    fn visit_local_statement(&mut self, statement: Statement<'f>) -> bool {
        if let Some(local) = statement.as_local() {
            let pairs = local.bindings.iter().zip(local.values);
            let declared = pairs.filter(|(binding, _)| binding.annotation.is_some());
            self.judged
                .extend(declared.map(|(_, value)| value.location()));
        }
        true
    }

    fn visit_function_literal_expression(&mut self, expression: Expression<'f>) -> bool {
        if let Some(function) = expression.as_function()
            && function.return_annotation.is_some()
        {
            function.body.visit(&mut Returns(&mut self.judged));
        }
        true
    }

    fn visit_table_expression(&mut self, expression: Expression<'f>) -> bool {
        if let Some(wanted) = self.model.expected_expression_type(expression)
            && let Some(table) = expression.as_table()
        {
            self.judge_keys(table.items, wanted.id());
        }
        true
    }
}

/// Collects what a function returns, without the functions within it.
struct Returns<'p>(&'p mut Vec<Location>);

impl<'f> AstVisitor<'f> for Returns<'_> {
    fn visit_function_literal_expression(&mut self, _: Expression<'f>) -> bool {
        false
    }

    fn visit_return_statement(&mut self, statement: Statement<'f>) -> bool {
        let returned = statement.as_return().map(|returned| returned.expressions);
        let returned = returned.unwrap_or_default().iter();
        self.0
            .extend(returned.map(|expression| expression.location()));
        self.0.push(statement.location);
        true
    }
}
