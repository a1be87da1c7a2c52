//! Reading a plugin's directory: ordinary, as Kubernetes lays it out, hostile, and while it changes.

use moondock::sys::scripts::sources::{Sources, read_sources};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

struct Plugin(tempfile::TempDir);

impl Plugin {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        fs::create_dir(outer.path().join("plugin")).unwrap();
        Self(outer)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0
            .path()
            .canonicalize()
            .unwrap()
            .join("plugin")
            .join(name)
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
        self
    }

    fn link(&self, target: &str, name: &str) -> &Self {
        symlink(target, self.path(name)).unwrap();
        self
    }

    fn read(&self) -> Sources {
        read_sources(&self.path("")).unwrap()
    }
}

fn names(sources: &Sources) -> Vec<&str> {
    sources
        .files
        .keys()
        .map(|path| path.to_str().unwrap())
        .collect()
}

fn problem<'a>(sources: &'a Sources, name: &str) -> &'a str {
    let found = sources
        .problems
        .iter()
        .find(|(path, _)| path == Path::new(name));
    &found
        .unwrap_or_else(|| panic!("`{name}` is no problem: {:?}", sources.problems))
        .1
}

#[test]
fn only_scripts_and_settings_are_read() {
    let plugin = Plugin::new();
    for name in ["plugin.toml", "volume.lua", "lib/a.luau", "lib/deep/b.lua"] {
        plugin.write(name, name);
    }
    for name in ["volume_test.lua", "lib/a_test.luau"] {
        plugin.write(name, name);
    }
    for name in [
        "README.md",
        ".hidden.lua",
        ".git/x.lua",
        "lib/plugin.toml",
        "lua",
    ] {
        plugin.write(name, name);
    }
    plugin
        .link("../../etc/hosts", "hosts")
        .link("nowhere", "dangling");
    let sources = plugin.read();
    assert_eq!(
        names(&sources),
        ["lib/a.luau", "lib/deep/b.lua", "plugin.toml", "volume.lua"]
    );
    assert_eq!(sources.files[Path::new("lib/a.luau")], b"lib/a.luau");
    let tests: Vec<_> = sources.tests.keys().collect();
    assert_eq!(tests, ["lib/a_test.luau", "volume_test.lua"].map(Path::new));
    assert_eq!(sources.problems, []);
    let outer = plugin.0.path().canonicalize().unwrap();
    assert_eq!(
        sources.watch,
        [
            outer,
            plugin.path(""),
            plugin.path("lib"),
            plugin.path("lib/deep")
        ]
        .map(tidy)
    );
}

/// Without the slash at the end.
fn tidy(path: PathBuf) -> PathBuf {
    path.components().collect()
}

#[test]
fn a_kubernetes_directory_is_read_through_its_links() {
    let plugin = Plugin::new();
    plugin
        .write("..2026_1/volume.lua", "one")
        .write("..2026_1/lib/a.lua", "one");
    plugin
        .link("..2026_1", "..data")
        .link("..data/volume.lua", "volume.lua")
        .link("..data/lib", "lib");
    let first = plugin.read();
    assert_eq!(names(&first), ["lib/a.lua", "volume.lua"]);
    for watched in ["", "..2026_1", "..2026_1/lib"] {
        assert!(
            first.watch.contains(&tidy(plugin.path(watched))),
            "`{watched}` in {:?}",
            first.watch
        );
    }
    plugin
        .write("..2026_2/volume.lua", "two")
        .write("..2026_2/lib/a.lua", "two");
    plugin.link("..2026_2", "..data_tmp");
    fs::rename(plugin.path("..data_tmp"), plugin.path("..data")).unwrap();
    fs::remove_dir_all(plugin.path("..2026_1")).unwrap();
    let second = plugin.read();
    assert_eq!(
        second.files.values().map(Vec::as_slice).collect::<Vec<_>>(),
        [b"two", b"two"]
    );
    assert!(
        second.watch.contains(&plugin.path("..2026_2/lib")),
        "the new target is watched"
    );
    assert_eq!(second.problems, []);
}

#[test]
fn links_that_leave_the_directory_are_problems() {
    let plugin = Plugin::new();
    fs::write(plugin.0.path().join("outside.lua"), "secret").unwrap();
    fs::create_dir(plugin.0.path().join("outside")).unwrap();
    fs::write(plugin.0.path().join("outside/x.lua"), "secret").unwrap();
    let outside = plugin.0.path().join("outside.lua");
    plugin
        .write("good.lua", "good")
        .link("../outside.lua", "a.lua")
        .link("../outside", "b");
    plugin
        .link(outside.to_str().unwrap(), "c.lua")
        .link("/etc/passwd", "d.lua")
        .link("d2", "e.lua")
        .link("..", "d2");
    plugin
        .link("/proc/self/root/etc/passwd", "f.lua")
        .link("loop.lua", "loop.lua")
        .link("gone.lua", "gone2.lua");
    let sources = plugin.read();
    assert_eq!(names(&sources), ["good.lua"]);
    for name in ["a.lua", "b", "c.lua", "d.lua", "d2", "e.lua", "f.lua"] {
        assert_eq!(
            problem(&sources, name),
            "the link leads out of the plugin's directory",
            "`{name}`"
        );
    }
    assert_eq!(problem(&sources, "gone2.lua"), "no such file or directory");
    assert!(problem(&sources, "loop.lua").contains("symbolic links"));
    assert!(
        !sources.watch.iter().any(|path| path.ends_with("outside")),
        "{:?}",
        sources.watch
    );
}

#[test]
fn files_over_the_limits_are_skipped_and_reported() {
    let plugin = Plugin::new();
    plugin
        .write("big.lua", &"x".repeat((1 << 20) + 1))
        .write("fits.lua", &"x".repeat(1 << 20));
    plugin
        .write("1/2/3/4/5/6/7/8/in.lua", "")
        .write("1/2/3/4/5/6/7/8/9/out.lua", "");
    plugin.link(".", "again");
    fs::create_dir(plugin.path("directory.lua")).unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        plugin.path("pipe.lua"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    let sources = plugin.read();
    assert_eq!(names(&sources), ["1/2/3/4/5/6/7/8/in.lua", "fits.lua"]);
    assert_eq!(problem(&sources, "big.lua"), "is larger than 1024 KiB");
    assert_eq!(
        problem(&sources, "1/2/3/4/5/6/7/8/9"),
        "lies deeper than 8 directories"
    );
    assert!(problem(&sources, "again").contains("leads back"));
    for name in ["directory.lua", "pipe.lua"] {
        assert_eq!(problem(&sources, name), "is not a regular file");
    }
    assert_eq!(sources.problems.len(), 5, "{:?}", sources.problems);
    for number in 0..1100 {
        plugin.write(&format!("many/{number}.lua"), "");
    }
    let sources = plugin.read();
    assert_eq!(sources.files.len(), 1000);
    let beyond = "more than 1000 scripts (and 101 others)";
    let reports = sources
        .problems
        .iter()
        .filter(|(_, why)| why.starts_with("more than"));
    assert_eq!(
        reports.map(|(_, why)| why.as_str()).collect::<Vec<_>>(),
        [beyond]
    );
    plugin.write("plugin.toml", "settings");
    let with_settings = plugin.read();
    assert!(with_settings.has("plugin.toml") && !sources.has("plugin.toml"));
}

#[test]
fn a_directory_that_is_itself_a_link_is_watched_where_the_link_is() {
    let plugin = Plugin::new();
    plugin.write("a.lua", "");
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().canonicalize().unwrap();
    symlink(plugin.path(""), elsewhere.join("ops")).unwrap();
    let sources = read_sources(&elsewhere.join("ops")).unwrap();
    for watched in [elsewhere, tidy(plugin.path(""))] {
        assert!(
            sources.watch.contains(&watched),
            "{watched:?} in {:?}",
            sources.watch
        );
    }
    assert!(read_sources(&plugin.path("missing")).is_err());
}

#[test]
fn a_directory_swapped_while_reading_is_read_consistently() {
    let plugin = Plugin::new();
    for n in 0..20 {
        plugin
            .write(&format!("..0/{n}.lua"), "0")
            .write(&format!("..1/{n}.lua"), "1");
        plugin.link(&format!("..data/{n}.lua"), &format!("{n}.lua"));
    }
    plugin.link("..0", "..data");
    let (stop, stopped) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| swap_until(stopped, &plugin));
        let _stop = stop;
        for _ in 0..300 {
            let sources = plugin.read();
            assert_eq!(sources.files.len(), 20, "{:?}", sources.problems);
            let first = &sources.files[Path::new("0.lua")];
            assert!(
                sources.files.values().all(|text| text == first),
                "half of each"
            );
        }
    });
}

/// Swaps again and again, with time for two readings between, until the sender is gone.
fn swap_until(stopped: mpsc::Receiver<()>, plugin: &Plugin) {
    for number in 1.. {
        if stopped.recv_timeout(Duration::from_millis(25))
            == Err(mpsc::RecvTimeoutError::Disconnected)
        {
            return;
        }
        plugin.link(&format!("..{}", number % 2), "..next");
        fs::rename(plugin.path("..next"), plugin.path("..data")).unwrap();
    }
}

#[test]
fn an_unreadable_directory_is_reported_and_the_rest_read() {
    let plugin = Plugin::new();
    plugin.write("a.lua", "").write("locked/b.lua", "");
    fs::set_permissions(plugin.path("locked"), PermissionsExt::from_mode(0o000)).unwrap();
    let sources = plugin.read();
    let root_reads_all = fs::metadata("/proc/self").unwrap().uid() == 0;
    assert!(names(&sources).contains(&"a.lua"));
    assert!(root_reads_all || problem(&sources, "locked") == "permission denied");
}
