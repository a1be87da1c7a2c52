//! Files and mounts, as a driver's author meets them through `sys`.

use moondock::sys::files::paths::PathError;
use moondock::sys::files::places::{End, Place as Found};
use moondock::sys::files::remove::remove_all;
use moondock::sys::files::{self, Kind};
use moondock::sys::memory::{Allowance, Buffer};
use moondock::sys::mounts::{self, MountSpec, Source};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::tempdir;

fn to(path: impl AsRef<Path>) -> Found {
    Found::find(path.as_ref(), End::Itself).unwrap()
}

fn read(path: impl AsRef<Path>) -> Result<Buffer, PathError> {
    files::read(&to(path), &Allowance::default())
}

fn names(path: &Path) -> Vec<String> {
    files::list(&to(path))
        .unwrap()
        .into_iter()
        .map(|name| name.into_string().unwrap())
        .collect()
}

#[test]
fn a_file_is_replaced_whole_and_keeps_its_mode() {
    let place = tempdir().unwrap();
    let path = place.path().join("a");
    files::write(&to(&path), b"one", Some(0o640)).unwrap();
    let reader = fs::File::open(&path).unwrap();
    files::write(&to(&path), b"two", None).unwrap();
    assert_eq!(
        std::io::read_to_string(reader).unwrap(),
        "one",
        "who reads it meanwhile sees the old one"
    );
    files::append(&to(&path), b"three", None).unwrap();
    assert_eq!(*read(&path).unwrap(), *b"twothree");
    let stat = files::stat(&to(&path)).unwrap().unwrap();
    assert_eq!((stat.kind, stat.size, stat.mode), (Kind::File, 8, 0o640));
    assert_eq!(names(place.path()), ["a"]);
}

#[test]
fn a_failed_write_leaves_no_file() {
    let place = tempdir().unwrap();
    fs::create_dir(place.path().join("directory")).unwrap();
    let error = files::write(&to(place.path().join("directory")), b"x", None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("directory`: is a directory"), "{error}");
    assert_eq!(names(place.path()), ["directory"]);
    let error = files::write(&to(place.path().join("no/where")), b"x", None)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("no/where`: no such file or directory"),
        "{error}"
    );
}

#[test]
fn only_regular_files_are_read() {
    let place = tempdir().unwrap();
    rustix::fs::mkfifoat(
        rustix::fs::CWD,
        place.path().join("pipe"),
        rustix::fs::Mode::RUSR,
    )
    .unwrap();
    for path in [
        place.path().join("pipe"),
        place.path().into(),
        "/dev/zero".into(),
    ] {
        let error = read(&path).unwrap_err().to_string();
        assert!(error.ends_with("is not a regular file"), "{error}");
    }
    let large = place.path().join("large");
    files::allocate(&to(&large), files::MAX_READ + 1).unwrap();
    assert!(
        read(&large)
            .unwrap_err()
            .to_string()
            .ends_with("is larger than 16 MiB")
    );
}

#[test]
fn directories_get_their_mode_whatever_the_umask_says() {
    let place = tempdir().unwrap();
    let path = place.path().join("a/b");
    assert!(files::make_directory(&to(&path), 0o777, false).is_err());
    files::make_directory(&to(&path), 0o1777, true).unwrap();
    files::make_directory(&to(&path), 0o700, true).unwrap();
    assert_eq!(
        files::stat(&to(&path)).unwrap().unwrap().mode,
        0o1777,
        "one that exists is left as it is"
    );
    fs::write(place.path().join("file"), "").unwrap();
    let error = files::make_directory(&to(place.path().join("file")), 0o755, true)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("file exists"), "{error}");
}

#[test]
fn a_dangling_link_exists() {
    let place = tempdir().unwrap();
    let (target, link) = (place.path().join("target"), place.path().join("link"));
    fs::write(&target, "").unwrap();
    files::change_mode(&to(&target), 0o600).unwrap();
    symlink(&target, &link).unwrap();
    assert!(files::change_mode(&to(&link), 0o777).is_err());
    assert_eq!(files::stat(&to(&target)).unwrap().unwrap().mode, 0o600);
    assert_eq!(
        files::stat(&to(&link)).unwrap().unwrap().kind,
        Kind::Symlink
    );
    assert!(
        files::remove(&to(&link)).unwrap()
            && !files::remove(&to(&link)).unwrap()
            && target.exists()
    );
    assert_eq!(files::stat(&to(target.join("below a file"))).unwrap(), None);
}

#[test]
fn allocated_files_are_sparse() {
    let place = tempdir().unwrap();
    let path = place.path().join("image");
    files::allocate(&to(&path), 1 << 40).unwrap();
    assert_eq!(files::stat(&to(&path)).unwrap().unwrap().size, 1 << 40);
    assert!(
        files::allocate(&to(&path), 1)
            .unwrap_err()
            .to_string()
            .ends_with("file exists")
    );
    let usage = files::usage(&to(&path)).unwrap();
    assert!(usage.free <= usage.total && usage.used <= usage.total);
    files::rename(&to(&path), &to(place.path().join("moved"))).unwrap();
    let error = files::rename(&to(&path), &to(place.path().join("moved")))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("image`: cannot become `") && error.ends_with("no such file or directory"),
        "{error}"
    );
}

#[test]
fn removing_a_tree_keeps_what_its_links_lead_to() {
    let place = tempdir().unwrap();
    let (tree, outside) = (place.path().join("tree"), place.path().join("outside"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    (0..5000).for_each(|n| fs::write(tree.join(format!("a/{n}")), "").unwrap());
    symlink(&outside, tree.join("a/b/link")).unwrap();
    assert!(
        remove_all(&to(&tree), mounts::first_at_or_below).unwrap()
            && !remove_all(&to(&tree), mounts::first_at_or_below).unwrap()
    );
    symlink(&outside, &tree).unwrap();
    assert!(
        remove_all(&to(&tree), mounts::first_at_or_below).unwrap() && outside.join("kept").exists()
    );
    assert_eq!(names(place.path()), ["outside"]);
    assert!(remove_all(&to(Path::new("/")), mounts::first_at_or_below).is_err());
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let place = tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let mut at = fs::File::open(&tree).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&at, "deeper", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        at = rustix::fs::openat(&at, "deeper", flags, rustix::fs::Mode::empty())
            .unwrap()
            .into();
    }
    assert!(remove_all(&to(&tree), mounts::first_at_or_below).unwrap());
    assert_eq!(names(place.path()), [] as [&str; 0]);
}

#[test]
fn removing_a_tree_does_not_follow_directories_swapped_for_links() {
    let place = tempdir().unwrap();
    let (tree, outside) = (place.path().join("tree"), place.path().join("outside"));
    for round in 0..50 {
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::create_dir_all(outside.join("b")).unwrap();
        fs::write(outside.join("b/kept"), "").unwrap();
        (0..50).for_each(|n| fs::write(tree.join(format!("a/b/{n}")), "").unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = fs::rename(tree.join("a"), tree.join("z"));
                let _ = symlink(&outside, tree.join("a"));
            });
            let _ = remove_all(&to(&tree), mounts::first_at_or_below);
        });
        assert!(outside.join("b/kept").exists(), "round {round}");
        remove_all(&to(&tree), mounts::first_at_or_below).unwrap();
    }
}

/// Unmounts everything below it, then goes.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for mount in mounts::at_or_below(self.0.path()).unwrap().iter().rev() {
            let _ = mounts::unmount(&to(&mount.target), true);
        }
    }
}

fn request(source: &Path, target: &Path, kind: &str, options: &[&str]) -> MountSpec {
    let options = options.iter().map(ToString::to_string).collect();
    let source = if source.is_absolute() {
        Source::Place(to(source))
    } else {
        Source::Name(source.into())
    };
    MountSpec {
        source,
        target: to(target),
        kind: kind.into(),
        options,
    }
}

#[test]
fn a_bind_mount_is_listed_and_unmounted() {
    needs!(root);
    let place = Place::new();
    let (at, again) = (place.make("a mount"), place.make("again"));
    mounts::mount(&request(
        Path::new("none"),
        &at,
        "tmpfs",
        &["size=1m", "nosuid", "mode=0750"],
    ))
    .unwrap();
    assert!(mounts::is_mounted(&to(&at)).unwrap() && !mounts::is_mounted(&to(&again)).unwrap());
    let mount = mounts::at_or_below(&at).unwrap().pop().unwrap();
    assert_eq!(
        (mount.target, mount.kind.as_str()),
        (at.canonicalize().unwrap(), "tmpfs")
    );
    assert!(
        mount.options.contains(&"nosuid".into()) && mount.options.contains(&"size=1024k".into())
    );
    mounts::mount(&request(&at, &again, "", &["bind", "ro"])).unwrap();
    let error = files::write(&to(again.join("x")), b"", None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("read-only file system"), "{error}");
    let held = fs::File::create(at.join("held")).unwrap();
    let error = mounts::unmount(&to(&at), false).unwrap_err().to_string();
    assert!(error.contains("a mount`: is busy: a process"), "{error}");
    drop(held);
    assert!(
        mounts::unmount(&to(&again), false).unwrap()
            && !mounts::unmount(&to(&again), false).unwrap()
    );
    assert!(
        mounts::unmount(&to(&at), false).unwrap()
            && !mounts::unmount(&to(at.join("nothing")), false).unwrap()
    );
}

#[test]
fn a_failed_mount_gives_the_reason() {
    needs!(root);
    let place = Place::new();
    let at = place.make("a");
    let error = |request| mounts::mount(&request).unwrap_err().to_string();
    let said = error(request(Path::new("none"), &at, "nosuchfs", &[]));
    assert!(
        said.ends_with("a`: cannot mount `none` as nosuchfs here: no such device"),
        "{said}"
    );
    let said = error(request(Path::new("none"), &at.join("b"), "tmpfs", &[]));
    assert!(said.ends_with("no such file or directory"), "{said}");
    let said = error(request(Path::new("none"), &at, "tmpfs", &["size=1m,suid"]));
    assert!(
        said.ends_with("`size=1m,suid` is not a single option"),
        "{said}"
    );
}

#[test]
fn a_tree_with_a_mount_is_not_removed() {
    needs!(root);
    let place = Place::new();
    let (tree, inside) = (place.make("tree"), place.make("tree/z/mount"));
    fs::write(tree.join("a"), "").unwrap();
    mounts::mount(&request(Path::new("none"), &inside, "tmpfs", &[])).unwrap();
    fs::write(inside.join("kept"), "").unwrap();
    for path in [&tree, &inside] {
        let error = remove_all(&to(path), mounts::first_at_or_below)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("tree/z/mount`: a file system is mounted here"),
            "{error}"
        );
    }
    assert!(inside.join("kept").exists() && tree.join("a").exists());
    assert!(
        files::remove(&to(&inside))
            .unwrap_err()
            .to_string()
            .ends_with("resource busy")
    );
    mounts::unmount(&to(&inside), false).unwrap();
    assert!(remove_all(&to(&tree), mounts::first_at_or_below).unwrap());
}

#[tokio::test]
async fn unmounting_an_image_detaches_its_loop_device() {
    needs!(root);
    let place = Place::new();
    let (image, at) = (place.0.path().join("image"), place.make("at"));
    files::allocate(&to(&image), 8 << 20).unwrap();
    let error = mounts::mount_image(&request(&image, &at, "ext4", &[]))
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot mount") && error.contains("wrong fs type"),
        "{error}"
    );
    assert!(
        Command::new("mkfs.ext4")
            .args(["-q", "-m0"])
            .arg(&image)
            .status()
            .unwrap()
            .success()
    );
    mounts::mount_image(&request(&image, &at, "ext4", &["nosuid"]))
        .await
        .unwrap();
    assert!(files::usage(&to(&at)).unwrap().total < 8 << 20);
    let error = files::write(&to(at.join("big")), &[1; 9 << 20], None)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("no space left on device") || error.ends_with("no storage space"),
        "{error}"
    );
    let device = mounts::at_or_below(&at).unwrap().pop().unwrap().source;
    assert!(device.starts_with("/dev"), "{device:?}");
    assert!(mounts::unmount(&to(&at), false).unwrap());
    let left = Command::new("losetup")
        .arg("-j")
        .arg(&image)
        .output()
        .unwrap()
        .stdout;
    assert_eq!(String::from_utf8(left).unwrap(), "");
}

#[test]
fn the_reserved_owner_id_is_refused() {
    let place = Place::new();
    let file = place.0.path().join("file");
    fs::write(&file, "").unwrap();
    for (uid, gid) in [(u32::MAX, 0), (0, u32::MAX)] {
        let error = files::change_owner(&to(&file), uid, gid)
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("4294967295 is not a valid owner"),
            "{error}"
        );
    }
}

/// Opening is enough to start a watchdog, or to rewind a tape.
#[test]
fn special_files_are_not_opened() {
    let place = Place::new();
    let fifo = place.0.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
    let reader = rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty()).unwrap();
    let polled = |reader| {
        let mut fds = [rustix::event::PollFd::new(
            reader,
            rustix::event::PollFlags::IN,
        )];
        let now = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        rustix::event::poll(&mut fds, Some(&now)).unwrap();
        fds[0].revents()
    };
    let error = files::append(&to(&fifo), b"x", None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("is not a regular file"), "{error}");
    // A writer that has been there, and gone, leaves a hang-up.
    assert!(!polled(&reader).contains(rustix::event::PollFlags::HUP));
}
