//! What a prompt understands besides Lua.

/// A command: its name, its arguments, and what it does.
pub struct Command {
    pub name: &'static str,
    arguments: &'static str,
    doc: &'static str,
}

const fn command(name: &'static str, arguments: &'static str, doc: &'static str) -> Command {
    Command {
        name,
        arguments,
        doc,
    }
}

#[rustfmt::skip]
pub const COMMANDS: &[Command] = &[
    command(".call",    "METHOD JSON", "call a method as an engine does; see `moondock call`"),
    command(".example", "METHOD",      "print a request of a method"),
    command(".grants",  "",            "print what the plugin may touch"),
    command(".reload",  "",            "begin anew with the files as they are; what is stored stays"),
    command(".help",    "",            "print this"),
    command(".quit",    "",            "end the session"),
];

/// Whether a line is a command: no Lua begins with a dot and a letter.
pub fn is_command(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix('.');
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

/// Describes all commands.
pub fn help() -> String {
    let described = COMMANDS.iter().map(|command| {
        let form = format!("{} {}", command.name, command.arguments);
        format!("  {form:<19} {}", command.doc)
    });
    format!("Commands:\n{}", described.collect::<Vec<_>>().join("\n"))
}
