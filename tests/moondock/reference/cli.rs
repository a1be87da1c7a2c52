//! `docs/reference/cli.md`: the command line.

use clap::Command;

/// The page.
pub fn page() -> String {
    let mut moondock = moondock::cli::command().term_width(100).max_term_width(100);
    moondock.build();
    let verbs: Vec<String> = moondock
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .filter(|verb| verb != "help")
        .collect();
    let mut page = format!("# Command line\n\n{}", help_block(&mut moondock));
    for verb in verbs {
        let command = moondock.find_subcommand_mut(&verb).unwrap();
        page += &format!("\n## moondock {verb}\n\n{}", help_block(command));
    }
    page
}

fn help_block(command: &mut Command) -> String {
    let help = command
        .clone()
        .term_width(100)
        .max_term_width(100)
        .render_long_help()
        .to_string();
    let lines: Vec<_> = help.lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n").trim_end())
}
