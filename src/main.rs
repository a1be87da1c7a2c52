//! The `moondock` command: parse, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    moondock::cli::run()
}
