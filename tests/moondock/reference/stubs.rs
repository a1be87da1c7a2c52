//! `scripts/types/`: what editors know of std modules, kits and hooks.

use super::Generated;
use moondock::host::{MODULES, Module};
use moondock::plugin::{REQUEST_FIELDS, REQUEST_TYPES};
use moondock::protocol::{Interface, Shape, Type, methods};

/// The kits that scripts are meant to require.
const KITS: [&str; 5] = ["ipam", "logs", "network", "options", "volume"];

/// All stubs.
pub fn all() -> Vec<Generated> {
    let path = |name: &str| format!("scripts/types/{name}.luau");
    let modules = MODULES
        .iter()
        .map(|module| (path(module.name), module_stub(module)));
    let kits = KITS.iter().map(|kit| (path(kit), kit_stub(kit)));
    let hooks = [(path("hooks.d"), hooks_stub())];
    modules.chain(kits).chain(hooks).collect()
}

fn module_stub(module: &Module) -> String {
    let mut stub = format!(
        "--!strict\n-- `require(\"@moondock/{}\")`, for editors.\n",
        module.name
    );
    if !module.types.is_empty() {
        stub += &format!("\n{}\n", module.types.replace('\t', "    "));
    }
    stub += "\nreturn (nil :: any) :: {\n";
    for function in module.functions {
        let needs = function
            .needs
            .in_words()
            .map(|needs| format!("\nNeeds the grant {needs}."));
        for line in function
            .doc
            .lines()
            .chain(needs.iter().flat_map(|needs| needs.lines()))
        {
            stub += format!("    -- {line}").trim_end();
            stub += "\n";
        }
        stub += &format!("    {}: {},\n", function.name, function.signature);
    }
    stub + "}\n"
}

fn kit_stub(kit: &str) -> String {
    format!(
        "--!strict\n-- `require(\"@moondock/{kit}\")`, for editors.\n\nreturn require(\"../kits/{kit}\")\n"
    )
}

const HOOKS: &str =
    "-- The requests and replies of hooks, for editors: a definition file, whose types are known everywhere.
--
--   function volume.create(req: CreateVolumeRequest) … end
--   function metrics.collect(samples: { MetricSample }) … end
--   function log.write_batch(entries: { LogEntry }, info: LogInfo) … end
";

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
    let mut stub = format!("{HOOKS}\n{REQUEST_TYPES}\nexport type AuthzRequest = {{\n");
    for field in REQUEST_FIELDS {
        stub += &format!("    {}: {}, -- {}\n", field.name, field.ty, field.doc);
    }
    stub += "}\n";
    shapes.iter().for_each(|shape| stub += &shape_type(shape));
    stub
}

/// The shape and those within it, each once.
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
    for field in shape.fields {
        let optional = if field.required { "" } else { "?" };
        text += &format!(
            "    {}: {}{optional}, -- {}\n",
            field.name,
            luau(field.ty),
            field.doc
        );
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
