//! `docs/reference/methods.md`: the methods of Docker's plugins and the hooks that answer them.

use super::wrap;
use moondock::protocol::{Interface, Method, Missing, Shape, Type, methods_of};

const INTRO: &str = "# Methods and hooks

A script answers Docker's remote calls (*methods*) by functions (*hooks*) in the table that it returns. A hook gets the
request as a table and returns the reply as a table, with Docker's own names of the fields. It reports a failure with `error`.

* A field marked `?` may be absent (`nil`). The others are always present; in a reply they are required.
* A reply with a field that Docker does not read is rejected, with the nearest known name: it would be a typo without effect.
* A call must be answered within its deadline, which [plugin.toml](plugin-toml.md) can shorten.
* *Without the hook* says what happens if the script has no such function. It **must** have it, or Docker gets *not
  implemented* (404), or Moondock answers the call itself.
* Bodies above the limit are rejected.

The same shapes as Luau types are in [scripts/types/hooks.d.luau](../../scripts/types/hooks.d.luau).
";

const UNANNOUNCED: &str = ", in a managed plugin only: dockerd hangs if a plugin that it finds by its socket announces it.";

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    page += "\n| script | by its socket | in a managed plugin | hooks |\n|---|---|---|---|\n";
    Interface::ALL
        .into_iter()
        .for_each(|interface| page += &interface_row(interface));
    for interface in Interface::ALL {
        let announced = interface.implements();
        page += &format!(
            "\n## {}\n\nAnnounced to Docker as `{announced}`",
            interface.file()
        );
        page += if interface.is_announced() {
            "."
        } else {
            UNANNOUNCED
        };
        page +=
            "\n\n| hook | method | deadline | body | without the hook |\n|---|---|---|---|---|\n";
        methods_of(interface)
            .iter()
            .for_each(|method| page += &method_row(method));
        let mut shown = Vec::new();
        methods_of(interface)
            .iter()
            .for_each(|method| page += &method_section(method, &mut shown));
    }
    page
}

fn interface_row(interface: Interface) -> String {
    let file = interface.file();
    let by_socket = if interface.is_announced() {
        "yes"
    } else {
        "no"
    };
    let hooks = methods_of(interface)
        .iter()
        .filter(|method| method.has_hook());
    let hooks: Vec<_> = hooks
        .map(|method| format!("[`{}`](#{})", method.hook, anchor(method)))
        .collect();
    format!(
        "| [`{file}`](#{}) | {by_socket} | yes | {} |\n",
        file.replace('.', ""),
        hooks.join(", ")
    )
}

fn method_row(method: &Method) -> String {
    let deadline = deadline_of(method).map_or("none".to_owned(), |deadline| {
        format!("{} s", deadline.as_secs())
    });
    let (wire, limit) = match method.is_called_by_engine() {
        false => ("Moondock calls it".to_owned(), "–".to_owned()),
        true => (
            format!("`{}`", method.wire),
            format!("{} MiB", method.body_limit >> 20),
        ),
    };
    format!(
        "| [`{}`](#{}) | {wire} | {deadline} | {limit} | {} |\n",
        method.hook,
        anchor(method),
        missing(method)
    )
}

/// The deadline of a method that has one.
pub fn deadline_of(method: &Method) -> Option<std::time::Duration> {
    (method.deadline != std::time::Duration::MAX).then_some(method.deadline)
}

/// As forges make it of the heading: dots go.
fn anchor(method: &Method) -> String {
    method.key().replace('.', "")
}

fn missing(method: &Method) -> String {
    match method.missing {
        _ if !method.has_hook() => "Moondock answers it; a script has no such hook".to_owned(),
        Missing::Instead(other) => format!("must have it, or `{other}`"),
        Missing::Refused => "must have it".to_owned(),
        Missing::NotFound => "not implemented".to_owned(),
        Missing::Answered(reply) => format!("answers `{reply}`"),
    }
}

fn method_section(method: &Method, shown: &mut Vec<&'static str>) -> String {
    let mut section = format!("\n### {}\n\n{}", method.key(), method.doc);
    if let Some(message) = method.absent {
        section += &format!(" A hook that returns nothing reports “{message}”.");
    }
    if method.hang_up_on_failure {
        section += " A failure closes the connection without a response, as Docker would read any other response as absence.";
    }
    section += "\n\n";
    if method.interface == Interface::Authz {
        section += "Its request is the [authorization request](authz-request.md); it returns `true`, or `false` and the reason.\n";
        return section;
    }
    if method.has_hook() && method.parameters() != "req" {
        return section + &arguments_section(method, shown);
    }
    section += &fields_table("request", method.request);
    section.push('\n');
    section + &fields_table("reply", method.reply)
}

/// A hook with arguments of its own: its type, and the tables that were not shown before.
fn arguments_section(method: &Method, shown: &mut Vec<&'static str>) -> String {
    let arguments: Vec<_> = method
        .arguments
        .iter()
        .map(|(name, ty)| format!("{name}: {ty}"))
        .collect();
    let mut signature = format!("{}: ({}) -> ()", method.key(), arguments.join(", "));
    if signature.chars().count() > wrap::WIDTH {
        signature = format!(
            "{}: (\n    {}\n) -> ()",
            method.key(),
            arguments.join(",\n    ")
        );
    }
    let mut section = format!("```luau\n{signature}\n```\n");
    for field in method.request.fields {
        if let Type::Record(shape) | Type::List(&Type::Record(shape)) = field.ty
            && !shown.contains(&shape.name)
        {
            shown.push(shape.name);
            section += &format!("\n{}", fields_table(&format!("`{}`", shape.name), shape));
        }
    }
    section
}

fn fields_table(title: &str, shape: &'static Shape) -> String {
    if shape.fields.is_empty() {
        return format!("The {title} has no fields.\n");
    }
    let mut table = format!("| {title} | type | |\n|---|---|---|\n");
    field_rows("", shape, &mut table);
    table
}

fn field_rows(prefix: &str, shape: &'static Shape, table: &mut String) {
    for field in shape.fields {
        let optional = if field.required { "" } else { "?" };
        let name = format!("{prefix}{}", field.name);
        *table += &format!(
            "| `{name}`{optional} | {} | {} |\n",
            type_name(field.ty),
            field.doc
        );
        match field.ty {
            Type::Record(inner) => field_rows(&format!("{name}."), inner, table),
            Type::List(Type::Record(inner)) => field_rows(&format!("{name}[]."), inner, table),
            _ => {}
        }
    }
}

fn type_name(ty: Type) -> String {
    match ty {
        Type::Bool => "boolean".to_owned(),
        Type::Int => "whole number".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        ty if ty.is_text() => ty.form().map_or("string", |form| form.name).to_owned(),
        Type::Time => "time, `2026-01-31T12:00:00Z`".to_owned(),
        Type::Bytes | Type::BytesUpTo(_) => "string of bytes".to_owned(),
        Type::Any => "anything".to_owned(),
        Type::List(Type::Record(_)) => "list of tables".to_owned(),
        Type::List(inner) => format!("list of {}s", type_name(*inner)),
        Type::Map(inner) => format!("map to {}", type_name(*inner)),
        _ => "table".to_owned(),
    }
}
