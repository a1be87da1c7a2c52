//! `docs/reference/std.md`: the std modules, from their stubs.

use super::stub::{Documented, Stub};
use moondock::host::MODULES;

const INTRO: &str = "# Std modules

What a script gets from `require(\"@moondock/NAME\")`, besides the [kits](kits.md).

* Functions raise if they fail, with their name in front. `nil` only means that something is absent.
* Functions that wait (for a disk, a program, the kernel) let other calls of the plugin continue meanwhile.
* While a script loads, only functions that touch nothing outside the script can be used.
* Functions that touch the machine need a [grant](../guides/grants.md), and raise without it.

";

/// The page.
pub fn page() -> String {
    let mut page = INTRO.to_owned();
    for module in MODULES {
        let functions = module.functions.iter().map(|f| format!("`{}`", f.name));
        let functions = functions.collect::<Vec<_>>().join(", ");
        page += &format!("* [{0}](#{0}): {functions}\n", module.name);
    }
    for module in MODULES {
        page += &section(module.name, &Stub::read(module.name));
    }
    page
}

fn section(name: &str, stub: &Stub) -> String {
    let mut section = format!("\n## {name}\n\n{}\n", stub.summary);
    if !stub.types.is_empty() {
        section += &format!("\n```luau\n{}\n```\n", stub.types);
    }
    for function in &stub.functions {
        section += &entry(&format!("{name}.{}", function.name), function);
    }
    section
}

fn entry(name: &str, function: &Documented) -> String {
    let (signature, doc) = (&function.signature, &function.doc);
    let mut entry = format!("\n### {name}\n\n```luau\n{name}: {signature}\n```\n\n{doc}\n");
    if let Some(needs) = &function.needs {
        entry += &format!("\nNeeds the [grant](../guides/grants.md) {needs}.\n");
    }
    entry
}
