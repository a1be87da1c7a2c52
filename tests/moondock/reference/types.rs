//! `scripts/types/`: the types of requests and replies, and where the kits are, for editors.

use super::bodies::{self, camel_case};
use super::{Generated, wrap};
use moondock::authz::routes;
use moondock::plugin::{REQUEST_FIELDS, REQUEST_TYPES};
use moondock::protocol::{Interface, Method, Shape, Type, methods, methods_of};
use std::collections::BTreeSet;

/// The kits that scripts can require.
const KITS: [&str; 6] = ["ipam", "logs", "network", "options", "test", "volume"];

const HOOKS: &str = "-- The hooks of each interface, their requests and their replies, for editors and `moondock check`.
-- This is a definition file: its types are known everywhere.
--
--   local volume = {} :: VolumeHooks
--
--   function volume.create(req) … end
--   function volume.mount(req: MountRequest): MountpointReply … end
";

const REQUEST: &str = "\
--- What is asked for. `action`, such as `container.create`, is `nil` when the route is unknown.
--- `body` is the JSON body when `body_state` is `json`: names of fields are found as the engine
--- finds them, whatever their case, and `null` is `nil`.
";

const RULES: &str = "\
--- Functions by action: `local rules: AuthzRules = { [\"exec.create\"] = function(req) … end }`.
";

/// The generated files.
pub fn all() -> Vec<Generated> {
    let kits = KITS.iter().map(|kit| (kit.to_string(), kit_stub(kit)));
    kits.chain([("hooks.d".to_owned(), hooks_stub())])
        .map(|(name, text)| (format!("scripts/types/{name}.luau"), text))
        .collect()
}

fn kit_stub(kit: &str) -> String {
    format!(
        "--!strict\n-- `require(\"@moondock/{kit}\")`, for editors.\n\n\
         return require(\"../kits/{kit}\")\n"
    )
}

fn hooks_stub() -> String {
    let mut shapes: Vec<&'static Shape> = Vec::new();
    let of_hooks = methods().filter(|method| method.interface != Interface::Authz);
    for method in of_hooks {
        match method.parameters().as_str() {
            "req" => collect(method.request, &mut shapes),
            _ => collect_inner(method.request, &mut shapes),
        }
        collect(method.reply, &mut shapes);
    }
    let mut stub = format!("{HOOKS}\n{REQUEST_TYPES}\n{}", request_types());
    shapes.iter().for_each(|shape| stub += &shape_type(shape));
    let interfaces = Interface::ALL.into_iter();
    interfaces.for_each(|interface| stub += &hooks_type(interface));
    stub += &bodies::types();
    stub.replace("\n        ", "\n\t\t")
        .replace("\n    ", "\n\t")
}

/// The table that the script of an interface returns.
fn hooks_type(interface: Interface) -> String {
    let name = interface.name();
    let (first, rest) = name.split_at(1);
    let mut text = format!("export type {}{rest}Hooks = {{\n", first.to_uppercase());
    let methods = methods_of(interface).iter();
    for method in methods.filter(|method| method.has_hook()) {
        text += &field(method.hook, &hook_type(method), method.doc);
    }
    text + "}\n"
}

fn hook_type(method: &Method) -> String {
    let names = method.arguments.iter().map(|(name, _)| name);
    let arguments = names.zip(method.argument_types());
    let arguments: Vec<_> = arguments
        .map(|(name, ty)| format!("{name}: {ty}"))
        .collect();
    let result = method.reply_type().unwrap_or_else(|| "...any".to_owned());
    match &arguments[..] {
        [_, _, _, ..] => {
            let lines = arguments.join(",\n        ");
            format!("(\n        {lines}\n    ) -> {result}")
        }
        _ => format!("({}) -> {result}", arguments.join(", ")),
    }
}

/// The request of a policy, whose body has the type that its action gives it.
fn request_types() -> String {
    let typed = bodies::actions();
    let all: BTreeSet<_> = routes().map(|route| route.action).collect();
    let others = all.difference(&typed).copied();
    let mut text = "export type AuthzRequestFields = {\n".to_owned();
    for row in REQUEST_FIELDS {
        if !["action", "body"].contains(&row.name) {
            text += &field(row.name, row.ty, row.doc);
        }
    }
    let variant = |action: &str| {
        let body = bodies::body_type(action);
        format!("{{ action: \"{action}\", body: {body} }}")
    };
    let variants = typed.iter().map(|action| variant(action));
    let variants = variants.chain(["{ action: AuthzOtherAction?, body: any }".to_owned()]);
    text += "}\n";
    text += &actions_type("AuthzOtherAction", others);
    text += &actions_type("AuthzAction", all.iter().copied());
    text += &format!(
        "{REQUEST}export type AuthzRequest = AuthzRequestFields & (\n{})\n",
        lines(variants.map(|variant| format!("| {variant}")))
    );
    for action in &typed {
        let (name, variant) = (camel_case(action), variant(action));
        text += &format!("export type Authz{name} = AuthzRequestFields\n    & {variant}\n");
    }
    let rules = typed.iter().map(|action| {
        let name = camel_case(action);
        format!("[\"{action}\"]: ((req: Authz{name}) -> ...any)?,")
    });
    let rules = rules.chain(["[AuthzAction]: ((req: AuthzRequest) -> ...any)?,".to_owned()]);
    text + &format!("{RULES}export type AuthzRules = {{\n{}}}\n", lines(rules))
}

fn actions_type(name: &str, actions: impl Iterator<Item = &'static str>) -> String {
    let actions = lines(actions.map(|action| format!("| \"{action}\"")));
    format!("export type {name} =\n{actions}")
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| format!("    {line}\n")).collect()
}

/// A field below its documentation.
fn field(name: &str, ty: &str, doc: &str) -> String {
    let comment = wrap::lines(doc, wrap::WIDTH - 8);
    let comment: String = comment
        .iter()
        .map(|line| format!("    --- {line}\n"))
        .collect();
    format!("{comment}    {name}: {ty},\n")
}

/// Adds the shape and those within it, each once.
fn collect(shape: &'static Shape, into: &mut Vec<&'static Shape>) {
    if shape.fields.is_empty() || into.contains(&shape) {
        return;
    }
    assert!(
        into.iter().all(|other| other.name != shape.name),
        "two shapes are named {}",
        shape.name
    );
    collect_inner(shape, into);
    into.push(shape);
}

fn collect_inner(shape: &'static Shape, into: &mut Vec<&'static Shape>) {
    for field in shape.fields {
        match field.ty {
            Type::Record(inner) | Type::List(&Type::Record(inner)) => collect(inner, into),
            _ => {}
        }
    }
}

fn shape_type(shape: &Shape) -> String {
    let mut text = format!("export type {} = {{\n", shape.name);
    for row in shape.fields {
        let optional = if row.required { "" } else { "?" };
        text += &field(row.name, &format!("{}{optional}", luau(row.ty)), row.doc);
    }
    text + "}\n"
}

fn luau(ty: Type) -> String {
    match ty {
        Type::Bool => "boolean".to_owned(),
        Type::Int | Type::Number => "number".to_owned(),
        Type::Time | Type::Bytes | Type::BytesUpTo(_) => "string".to_owned(),
        ty if ty.is_text() => "string".to_owned(),
        Type::Any => "any".to_owned(),
        Type::List(inner) => format!("{{ {} }}", luau(*inner)),
        Type::Map(inner) => format!("{{ [string]: {} }}", luau(*inner)),
        Type::Record(shape) => shape.name.to_owned(),
        ty => unreachable!("{ty:?}"),
    }
}
