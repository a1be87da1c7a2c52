//! Which file a program's name means, and which variables would have it run another one's code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are looked up, whatever `PATH` says.
pub const PLACES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Variables by which a loader, a shell or an interpreter is made to run other code than the program's, in the main those that
/// sudo takes away; a `*` stands for any end.
const LEADING_ASTRAY: [&str; 40] = [
    "LD_*",
    "_RLD*",
    "DYLD_*",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "PATH_LOCALE",
    "PATH",
    "CDPATH",
    "IFS",
    "ENV",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "SHELLOPTS",
    "GLOBIGNORE",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    "FPATH",
    "NULLCMD",
    "READNULLCMD",
    "HOSTALIASES",
    "LOCALDOMAIN",
    "RES_OPTIONS",
    "TERMINFO*",
    "TERMPATH",
    "TERMCAP",
    "PERL*",
    "PYTHON*",
    "RUBY*",
    "NODE_*",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LUA_*",
    "OPENSSL_*",
    "GIT_*",
    "SSH_ASKPASS",
];

/// The file that a program is run from: of a name, the first in [`PLACES`]; of an absolute path, the path itself. `None` for
/// a name that nothing there has, and for a relative path.
pub fn find(program: &OsStr) -> Option<PathBuf> {
    let path = Path::new(program);
    if program.as_bytes().contains(&b'/') {
        return path.is_absolute().then(|| path.to_owned());
    }
    PLACES
        .iter()
        .map(|place| Path::new(place).join(path))
        .find(|path| is_program(path))
}

/// Whether it is a file that somebody may execute.
pub fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Whether a variable of that name would have a program run code that is not its own.
pub fn leads_astray(variable: &OsStr) -> bool {
    let variable = variable.as_bytes();
    LEADING_ASTRAY
        .iter()
        .any(|name| match name.strip_suffix('*') {
            Some(start) => variable.starts_with(start.as_bytes()),
            None => variable == name.as_bytes(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_names_are_searched_and_paths_are_used_as_given() {
        let found = find(OsStr::new("sh")).unwrap();
        assert!(found.is_absolute() && is_program(&found));
        assert_eq!(find(OsStr::new("/no/such")), Some("/no/such".into()));
        for bad in [
            "./sh",
            "bin/sh",
            "../bin/sh",
            "no-such-program",
            "",
            ".",
            "..",
        ] {
            assert_eq!(find(OsStr::new(bad)), None, "{bad}");
        }
    }

    #[test]
    fn variables_that_load_code_are_recognized() {
        for bad in ["PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONPATH"] {
            assert!(leads_astray(OsStr::new(bad)), "{bad}");
        }
        for fine in ["LC_ALL", "XPATH", "PATHS", "HOME", "RCLONE_CONFIG"] {
            assert!(!leads_astray(OsStr::new(fine)), "{fine}");
        }
    }
}
