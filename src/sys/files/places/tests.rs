//! Walks, compared with the kernel's own.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn real(path: &Path) -> Option<PathBuf> {
    Place::find(path, End::Followed)
        .ok()
        .map(|place| place.real)
}

/// Names, links and paths without a plan, the same ones each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn path(&mut self, from: &Path, names: &[&str]) -> PathBuf {
        let relative = self.below(3) > 0;
        let mut path = if relative {
            PathBuf::new()
        } else {
            from.to_owned()
        };
        (0..=self.below(4)).for_each(|_| path.push(names[self.below(names.len())]));
        path
    }
}

const NAMES: &[&str] = &["a", "b", "c", "d"];
const WAYS: &[&str] = &["a", "b", "c", "d", "..", ".", "l", "m"];

/// Directories and files first, and links in them afterwards: nothing is made by way of a link, and
/// so elsewhere.
fn grow(top: &Path, chance: &mut Chance) {
    for _ in 0..15 {
        let path = top.join(chance.path(top, NAMES));
        let _ = if chance.below(3) > 0 {
            fs::create_dir_all(path)
        } else {
            fs::write(path, "")
        };
    }
    let directories: Vec<_> = (0..20).map(|_| top.join(chance.path(top, NAMES))).collect();
    for directory in directories.iter().filter(|directory| directory.is_dir()) {
        let _ = symlink(
            chance.path(top, WAYS),
            directory.join(["l", "m"][chance.below(2)]),
        );
    }
}

#[test]
fn walking_a_path_agrees_with_the_kernel() {
    let (mut found, mut through_links, mut chance) = (0, 0, Chance(7));
    for _ in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        grow(&top, &mut chance);
        for _ in 0..500 {
            let path = top
                .join(chance.path(&top, WAYS))
                .join(chance.path(Path::new(""), WAYS));
            // The kernel takes a `.` at the end for a demand that it be a directory.
            let path: PathBuf = path.components().collect();
            let place = Place::find(&path, End::Followed);
            let Ok(there) = path.canonicalize() else {
                assert!(
                    place.and_then(|place| place.hold().map(drop)).is_err(),
                    "{}",
                    path.display()
                );
                continue;
            };
            let place = place.unwrap();
            assert_eq!(place.real, there, "{}", path.display());
            (found, through_links) = (found + 1, through_links + place.links.len());
        }
    }
    assert!(
        found > 500 && through_links > 100,
        "{found} found, {through_links} links"
    );
}

#[test]
fn missing_components_are_separated() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    fs::write(top.join("file"), "").unwrap();
    let find = |path: &str| Place::find(&top.join(path), End::Followed).unwrap();
    assert!(find("new").entry().is_ok() && find("no/such").entry().is_err());
    let place = find("no/such/thing");
    assert_eq!(
        place.missing().unwrap().1.collect::<Vec<_>>(),
        ["no", "such"]
    );
    assert_eq!(
        (place.name(), &place.real),
        (OsStr::new("thing"), &top.join("no/such/thing"))
    );
    assert!(find("no/../file").entry().is_err() && find("no/../x").missing().is_err());
    let error = find("file/x").entry().unwrap_err().to_string();
    assert!(error.ends_with("not a directory"), "{error}");
    assert_eq!(real(Path::new("/")), Some("/".into()));
    assert_eq!(real(Path::new("/../..//.")), Some("/".into()));
    let long = PathBuf::from("/".to_owned() + &"x/".repeat(3000));
    assert!(
        Place::find(&long, End::Itself)
            .unwrap_err()
            .to_string()
            .ends_with("file name too long")
    );
}

#[test]
fn endless_links_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    symlink("b", top.join("a")).unwrap();
    symlink("a", top.join("b")).unwrap();
    assert!(Place::find(&top.join("a/x"), End::Itself).is_err_and(|error| error.is_loop()));
    let up = PathBuf::from("/proc/sys/net/ipv4/".to_owned() + &"../ipv4/".repeat(450));
    assert_eq!(real(&up), Some("/proc/sys/net/ipv4".into()));
}
