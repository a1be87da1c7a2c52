//! Finds programs by name, and knows the variables that make a program run foreign code.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The directories of programs, whatever `PATH` contains.
pub const PLACES: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// Variables that make a loader, a shell or an interpreter run foreign code, mostly those that sudo
/// removes. A `*` matches any suffix.
const INJECTING: [&str; 40] = [
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

/// Finds a program: for a name, the first file in [`PLACES`]; for an absolute path, the path
/// itself. Returns `None` for an unknown name, and for a relative path.
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

/// Returns whether the path is an executable file.
pub fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Returns whether a variable can make a program run foreign code.
pub fn injects_code(variable: &OsStr) -> bool {
    let variable = variable.as_bytes();
    INJECTING.iter().any(|name| match name.strip_suffix('*') {
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
            assert!(injects_code(OsStr::new(bad)), "{bad}");
        }
        for fine in ["LC_ALL", "XPATH", "PATHS", "HOME", "RCLONE_CONFIG"] {
            assert!(!injects_code(OsStr::new(fine)), "{fine}");
        }
    }
}
