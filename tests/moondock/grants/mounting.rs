//! Mounts reach nothing that is not granted by path.

use super::{fine, raised, refused};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// `root` and `source` are granted, `read` to be read only, `outside` not at all. What is mounted goes with it.
struct Ground {
    dir: TempDir,
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["root/at", "source", "read", "outside"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("mark"), name).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    fn grants(&self) -> Vec<String> {
        let of = |kind: &str, name: &str| format!("{kind}:{}", self.path(name).display());
        vec![
            of("fs.write", "root"),
            of("fs.write", "source"),
            of("fs.read", "read"),
            "mount".to_owned(),
        ]
    }

    fn script(&self, body: &str) -> String {
        format!("local AT = '{}'\n{body}", self.path("").display())
    }

    #[track_caller]
    fn fine(&self, body: &str) {
        let grants = self.grants();
        fine(
            &grants.iter().map(String::as_str).collect::<Vec<_>>(),
            &self.script(body),
        );
    }

    #[track_caller]
    fn refused(&self, body: &str, why: &str) {
        let grants = self.grants();
        refused(
            &grants.iter().map(String::as_str).collect::<Vec<_>>(),
            &self.script(body),
            why,
        );
    }

    fn mounts(&self) -> usize {
        let own = self.path("").display().to_string();
        fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(&own))
            .count()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for name in [
            "root/disk",
            "root/at",
            "root/at",
            "root/m",
            "source",
            "outside",
        ] {
            let _ = rustix::mount::unmount(self.path(name), rustix::mount::UnmountFlags::DETACH);
        }
    }
}

fn bind(source: &str, target: &str) -> String {
    format!(
        "fs.mount({{ source = AT .. '{source}', target = AT .. '{target}', options = {{ 'bind' }} }})"
    )
}

const NOT: &str = "is not granted: add \"fs.write:";

#[test]
fn mounting_needs_grants_for_source_and_target() {
    let ground = Ground::new();
    symlink(ground.path("outside"), ground.path("root/link")).unwrap();
    ground.refused(&bind("source", "outside"), NOT);
    ground.refused(&bind("source", "root/link"), NOT);
    ground.refused(&bind("outside", "root/at"), NOT);
    ground.refused(&bind("root/link", "root/at"), NOT);
    ground.refused(&bind("read", "root/at"), NOT);
    ground.refused("fs.unmount(AT .. 'outside')", NOT);
    let loop_of = |source: &str, options: &str| {
        format!(
            "fs.mount({{ source = AT .. '{source}', target = AT .. 'root/at', type = 'ext4', loop = true, options = {{ {options} }} }})"
        )
    };
    ground.refused(&loop_of("outside/mark", ""), NOT);
    ground.refused(&loop_of("read/mark", ""), NOT);
    ground.refused(&loop_of("read/mark", "'ro'"), "cannot mount");
    for back in [
        "'ro', 'rw'",
        "'ro', 'rw=vfs'",
        "'ro', 'ro=vfs'",
        "'ro', 'defaults'",
    ] {
        ground.refused(&loop_of("read/mark", back), NOT);
    }
    ground.refused(
        &loop_of("source/mark", "'bind'"),
        "`loop` and the option `bind` exclude each other",
    );
    let of_type = |kind: &str, source: &str, option: &str| {
        format!(
            "fs.mount({{ source = '{source}', target = AT .. 'root/at', type = '{kind}', options = {{ {option} }} }})"
        )
    };
    for kind in [
        "proc", "sysfs", "devtmpfs", "overlay", "nfs", "f2fs", "erofs",
    ] {
        ground.refused(
            &of_type(kind, "none", ""),
            &format!("cannot mount the type `{kind}`: use one of"),
        );
    }
    ground.refused(
        &of_type("ext4", "/dev/null", ""),
        "`/dev/null` is not granted: add \"fs.write:/dev/null\"",
    );
    ground.refused(&of_type("ext4", "sda", ""), "`sda` is not an absolute path");
    ground.refused(
        &of_type("tmpfs", "none", "'remount'"),
        "the option `remount` is not allowed",
    );
    ground.refused(
        &of_type("tmpfs", "none", "'x=/etc'"),
        "names a path, which no grant covers",
    );
    let write_only = format!("fs.write:{}", ground.path("").display());
    let error = raised(&[&write_only], &ground.script(&bind("source", "root/at")));
    assert!(
        error.contains("fs.mount: `mount` is not granted: add \"mount\""),
        "{error}"
    );
    assert_eq!(ground.mounts(), 0);
}

#[test]
fn granted_mounts_work() {
    needs!(root);
    let ground = Ground::new();
    ground.fine(&format!(
        "{}
         assert(fs.read(AT .. 'root/at/mark') == 'source' and fs.mounted(AT .. 'root/at'))
         assert(fs.unmount(AT .. 'root/at') and not fs.mounted(AT .. 'root/at'))
         fs.mount({{ source = AT .. 'source', target = AT .. 'root/at', options = {{ 'bind', 'ro' }} }})
         local ok, why = pcall(fs.write, AT .. 'root/at/new', '')
         assert(not ok and string.find(why, 'read%-only'), why)
         fs.write(AT .. 'source/new', '')
         assert(fs.unmount(AT .. 'root/at'))",
        bind("source", "root/at")
    ));
    assert_eq!(ground.mounts(), 0);
}

/// What counts is the path. Whoever mounts something into a granted directory grants it.
#[test]
fn foreign_mounts_in_a_granted_directory_are_in_it() {
    needs!(root);
    let ground = Ground::new();
    let (outside, at) = (ground.path("outside"), ground.path("root/at"));
    assert!(
        Command::new("mount")
            .arg("--bind")
            .args([&outside, &at])
            .status()
            .unwrap()
            .success()
    );
    ground.fine("assert(fs.read(AT .. 'root/at/mark') == 'outside')");
    ground.refused("fs.read(AT .. 'outside/mark')", "is not granted");
    ground.refused(
        "fs.read(AT .. 'root/at/../../outside/mark')",
        "is not granted",
    );
}

#[test]
fn links_in_a_mounted_image_do_not_lead_out() {
    needs!(root);
    let ground = Ground::new();
    let tree = ground.path("source/tree");
    fs::create_dir(&tree).unwrap();
    symlink("/", tree.join("up")).unwrap();
    symlink(ground.path("outside/mark"), tree.join("mark")).unwrap();
    let image = ground.path("source/image");
    format(&tree, &image);
    ground.fine(
        "fs.mount({ source = AT .. 'source/image', target = AT .. 'root/at', type = 'ext4', loop = true, options = { 'nosuid' } })",
    );
    ground.refused("fs.read(AT .. 'root/at/up/etc/passwd')", "is not granted");
    ground.refused("fs.read(AT .. 'root/at/mark')", "is not granted");
    ground.fine("fs.write(AT .. 'root/at/mark', 'mine') assert(fs.unmount(AT .. 'root/at'))");
    assert_eq!(
        fs::read_to_string(ground.path("outside/mark")).unwrap(),
        "outside"
    );
}

/// A device of the test's own, with a file system that is not granted.
struct Disk(PathBuf);

impl Disk {
    fn with_secret(ground: &Ground) -> Self {
        let (tree, image) = (ground.path("outside/tree"), ground.path("outside/image"));
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("secret"), "").unwrap();
        format(&tree, &image);
        let told = Command::new("losetup")
            .args(["--find", "--show"])
            .arg(image)
            .output()
            .unwrap();
        assert!(told.status.success(), "{told:?}");
        Self(String::from_utf8(told.stdout).unwrap().trim().into())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup")
            .arg("--detach")
            .arg(&self.0)
            .status();
    }
}

/// Makes an image of a tree.
fn format(tree: &Path, image: &Path) {
    let made = Command::new("mkfs.ext4")
        .arg("-q")
        .arg("-d")
        .args([tree, image])
        .arg("8M")
        .status()
        .unwrap();
    assert!(made.success());
}

/// Whoever may write an image may put any device into it.
#[test]
fn devices_in_a_mounted_image_cannot_be_opened() {
    needs!(root);
    let ground = Ground::new();
    let disk = Disk::with_secret(&ground);
    let tree = ground.path("source/tree");
    fs::create_dir(&tree).unwrap();
    let copied = Command::new("cp")
        .arg("--archive")
        .args([&disk.0, &tree.join("disk")])
        .status()
        .unwrap();
    assert!(copied.success());
    format(&tree, &ground.path("source/image"));
    fs::create_dir(ground.path("root/disk")).unwrap();
    let open =
        "fs.mount({ source = AT .. 'root/at/disk', target = AT .. 'root/disk', type = 'ext4' })";
    for options in ["", "'defaults'", "'dev'", "'nosuid', 'dev'"] {
        ground.fine(&format!(
            "fs.mount({{ source = AT .. 'source/image', target = AT .. 'root/at', type = 'ext4', loop = true, options = {{ {options} }} }})"
        ));
        ground.refused(open, "permission denied");
        // A second mount of the same source does not get around it, with any options.
        let again = "fs.mount({ source = AT .. 'root/at', target = AT .. 'root/at', options = { 'bind', 'noatime' } })";
        ground.fine(again);
        ground.refused(open, "permission denied");
        ground.fine("assert(fs.unmount(AT .. 'root/at') and fs.unmount(AT .. 'root/at'))");
    }
    assert_eq!(ground.mounts(), 0);
}

#[test]
fn bind_mounts_keep_the_restrictions_of_their_source() {
    needs!(root);
    let ground = Ground::new();
    let source = ground.path("source");
    let tmpfs = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "ro,nosuid", "none"])
        .arg(&source)
        .status();
    assert!(tmpfs.unwrap().success());
    ground.fine(
        "fs.mount({ source = AT .. 'source', target = AT .. 'root/at', options = { 'bind', 'noexec' } })
         local ok, why = pcall(fs.write, AT .. 'root/at/new', '')
         for _, mount in fs.mounts() do
           if mount.target == AT .. 'root/at' then
             for _, option in { 'ro', 'nosuid', 'noexec' } do assert(table.find(mount.options, option), option) end
           end
         end
         assert(not ok and string.find(why, 'read%-only'), why)
         assert(fs.unmount(AT .. 'root/at') and fs.unmount(AT .. 'source'))",
    );
    assert_eq!(ground.mounts(), 0);
}
