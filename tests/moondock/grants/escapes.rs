//! Ways out of a granted directory that are not there.

use super::{fine, raised, refused};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

/// A directory `root` that is granted, and one `outside` with a file `secret` that is not.
struct Ground {
    _dir: TempDir,
    at: PathBuf,
}

impl Ground {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// Where writing durably takes no time.
    fn in_memory() -> Self {
        Self::on(
            tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
        )
    }

    fn on(dir: TempDir) -> Self {
        let at = dir.path().canonicalize().unwrap();
        fs::create_dir_all(at.join("root/inside")).unwrap();
        fs::create_dir(at.join("outside")).unwrap();
        fs::write(at.join("root/inside/secret"), "inside").unwrap();
        fs::write(at.join("outside/secret"), "outside").unwrap();
        Self { _dir: dir, at }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.join(name)
    }

    fn link(&self, name: &str, target: impl AsRef<Path>) {
        symlink(target, self.path(name)).unwrap();
    }

    /// `body` with `R` and `O` for the two directories.
    fn script(&self, body: &str) -> String {
        format!(
            "local R, O = '{0}/root', '{0}/outside'\n{body}",
            self.at.display()
        )
    }

    fn grants(&self) -> String {
        format!("fs.write:{}/root", self.at.display())
    }

    #[track_caller]
    fn fine(&self, body: &str) {
        fine(&[&self.grants()], &self.script(body));
    }

    #[track_caller]
    fn refused(&self, body: &str) {
        refused(
            &[&self.grants()],
            &self.script(body),
            "is not granted: add \"fs.",
        );
    }

    /// That nothing outside was changed.
    #[track_caller]
    fn outside_is_as_it_was(&self) {
        let names: Vec<_> = fs::read_dir(self.path("outside"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, ["secret"]);
        let secret = self.path("outside/secret");
        assert_eq!(fs::read_to_string(&secret).unwrap(), "outside");
        assert_eq!(
            fs::metadata(secret).unwrap().permissions().mode() & 0o777,
            0o644
        );
    }
}

/// Every function that takes a path and does not mean the link at its end, on the path `P`.
const FOLLOWING: &[&str] = &[
    "fs.read(P)",
    "fs.write(P, 'x', { append = true })",
    "fs.list(P)",
    "fs.mkdir(P)",
    "fs.mkdir(P, { parents = true })",
    "fs.usage(P)",
    "fs.real(P)",
];

/// Every other one.
const OF_THE_NAME: &[&str] = &[
    "fs.write(P, 'x')",
    "fs.exists(P)",
    "fs.stat(P)",
    "fs.remove(P)",
    "fs.remove_all(P)",
    "fs.rename(P, R .. '/taken')",
    "fs.rename(R .. '/inside', P)",
    "fs.chmod(P, '0777')",
    "fs.chown(P, 1, 1)",
    "fs.allocate(P, 1)",
    "fs.mounted(P)",
    "fs.mounted_elsewhere(P)",
];

#[test]
fn every_function_refuses_paths_that_lead_out() {
    let ground = Ground::new();
    ground.link("root/absolute", ground.path("outside"));
    ground.link("root/relative", "../outside");
    ground.link("root/chain", "inside/../absolute");
    ground.link("root/dangling", ground.path("outside/new"));
    for path in [
        "/../outside/secret",
        "/absolute/secret",
        "/relative/secret",
        "/chain/secret",
        "/inside/../../outside",
    ] {
        for call in FOLLOWING.iter().chain(OF_THE_NAME) {
            ground.refused(&call.replace('P', &format!("R .. '{path}'")));
        }
    }
    for path in ["/absolute", "/dangling", "/chain"] {
        for call in FOLLOWING {
            ground.refused(&call.replace('P', &format!("R .. '{path}'")));
        }
    }
    ground.outside_is_as_it_was();
}

#[test]
fn functions_that_change_names_act_on_the_link_itself() {
    let ground = Ground::new();
    for name in [
        "removed", "emptied", "renamed", "owned", "replaced", "changed",
    ] {
        ground.link(&format!("root/{name}"), ground.path("outside/secret"));
    }
    ground.link("root/tree", ground.path("outside"));
    let me = fs::metadata(ground.path("root")).unwrap();
    ground.fine(&format!(
        "assert(fs.remove(R .. '/removed') and fs.remove_all(R .. '/emptied') and fs.remove_all(R .. '/tree'))
         fs.rename(R .. '/renamed', R .. '/inside/renamed')
         fs.chown(R .. '/owned', {}, {})
         fs.write(R .. '/replaced', 'mine')
         assert(fs.stat(R .. '/changed').kind == 'symlink')
         assert(not pcall(fs.chmod, R .. '/changed', '0777'))",
        me.uid(),
        me.gid()
    ));
    assert!(ground.path("root/inside/renamed").is_symlink());
    assert_eq!(
        fs::read_to_string(ground.path("root/replaced")).unwrap(),
        "mine"
    );
    ground.outside_is_as_it_was();
}

#[test]
fn a_link_that_stays_within_is_followed() {
    let ground = Ground::new();
    ground.link("root/absolute", ground.path("root/inside"));
    ground.link("root/around", "../root/../root/inside");
    ground.fine(
        "for _, name in { 'absolute', 'around' } do
           assert(fs.read(`{R}/{name}/secret`) == 'inside')
           assert(fs.real(`{R}/{name}/secret`) == R .. '/inside/secret')
           fs.write(`{R}/{name}/{name}`, name)
         end
         assert(table.concat(fs.list(R .. '/absolute'), ' ') == 'absolute around secret')",
    );
}

#[test]
fn refusals_show_where_a_path_leads() {
    let ground = Ground::new();
    ground.link("root/link", ground.path("outside"));
    let error = raised(
        &[&ground.grants()],
        &ground.script("fs.read(R .. '/link/secret')"),
    );
    let at = ground.at.display();
    assert_eq!(
        error,
        format!(
            "volume.lua:6: fs.read: `{at}/root/link/secret` leads to `{at}/outside/secret`, which is not granted: \
             add \"fs.read:{at}/outside/secret\" (or a directory above it) to `grants` in plugin.toml"
        )
    );
}

#[test]
fn a_read_grant_does_not_allow_writing() {
    let ground = Ground::new();
    let grant = format!("fs.read:{}", ground.at.display());
    fine(
        &[&grant],
        &ground.script("assert(fs.read(O .. '/secret') == 'outside')"),
    );
    for call in OF_THE_NAME.iter().filter(|call| {
        !call.contains("exists") && !call.contains("stat") && !call.contains("mounted")
    }) {
        let body = ground.script(&call.replace('P', "O .. '/secret'"));
        refused(&[&grant], &body, "is not granted: add \"fs.write:");
    }
    ground.outside_is_as_it_was();
}

#[test]
fn links_of_proc_are_not_followed() {
    let ground = Ground::new();
    ground.link("root/up", "/proc/self/root");
    ground.link("root/cwd", "/proc/self/cwd");
    let own = "leads through a link of the kernel's own";
    for path in [
        "/proc/self/root/etc/passwd",
        "/proc/self/cwd/Cargo.toml",
        "/proc/thread-self/root/etc/passwd",
    ] {
        refused(&["fs.read:/proc"], &format!("fs.read('{path}')"), own);
    }
    for path in ["/up/etc/passwd", "/cwd/Cargo.toml"] {
        refused(
            &[&ground.grants()],
            &ground.script(&format!("fs.read(R .. '{path}')")),
            own,
        );
    }
    // Other tests open and close files meanwhile: of one that has just gone, only its name is left to be judged.
    let body = "for fd = 0, 63 do
        local ok, text = pcall(fs.read, `/proc/self/fd/{fd}`)
        assert(not ok and (string.find(text, 'kernel') or string.find(text, 'no such') or string.find(text, 'not granted')), text)
    end";
    fine(&["fs.read:/proc"], body);
    fine(
        &["fs.read:/proc"],
        "assert(string.find(fs.read('/proc/self/stat'), ' '))",
    );
    fine(
        &["fs.read:/proc/self/stat"],
        "assert(string.find(fs.read('/proc/self/stat'), ' '))",
    );
    refused(
        &["fs.read:/proc/self/stat"],
        "fs.read('/proc/self/status')",
        "is not granted",
    );
}

#[test]
fn rename_does_not_cross_the_granted_directory() {
    let ground = Ground::new();
    ground.refused("fs.rename(O .. '/secret', R .. '/secret')");
    ground.refused("fs.rename(R .. '/inside', O .. '/inside')");
    ground.refused("fs.rename(R .. '/inside', R .. '/../inside')");
    ground.outside_is_as_it_was();
}

#[test]
fn a_granted_directory_cannot_be_replaced_by_a_link() {
    let ground = Ground::new();
    fs::create_dir(ground.path("other")).unwrap();
    ground.link("root/evil", ground.path("outside"));
    let grants = [
        ground.grants(),
        format!("fs.write:{}/other", ground.at.display()),
    ];
    let body = ground.script(
        "local other = string.gsub(R, 'root$', 'other')
         assert(fs.remove(other))
         fs.rename(R .. '/evil', other)",
    );
    refused(
        &[&grants[0], &grants[1]],
        &body,
        "other` is itself granted, or a link to a granted path",
    );
    let nested = format!("fs.read:{}/root/evil/secret", ground.at.display());
    let body = ground.script("fs.read(O .. '/secret')");
    refused(&[&grants[0], &nested], &body, "is not granted");
}

#[test]
fn a_granted_directory_may_lie_behind_a_link_or_be_missing() {
    let ground = Ground::new();
    ground.link("run", "root");
    let grants = [
        format!("fs.write:{}/run", ground.at.display()),
        format!("fs.write:{}/new/deep", ground.at.display()),
    ];
    let grants = [grants[0].as_str(), grants[1].as_str()];
    let run = "local run, new = string.gsub(R, 'root$', 'run'), string.gsub(R, 'root$', 'new')\n";
    let body = format!(
        "{run}fs.write(run .. '/a', 'a') assert(fs.read(R .. '/a') == 'a')
         assert(not fs.exists(new .. '/deep'))
         fs.mkdir(new .. '/deep/x', {{ parents = true, mode = '0700' }})
         assert(fs.stat(new .. '/deep/x').mode == 448)"
    );
    fine(&grants, &ground.script(&body));
    refused(
        &grants,
        &ground.script(&format!("{run}fs.mkdir(new .. '/other')")),
        "is not granted",
    );
}

/// A hard link is another name of the same file: a user who may create hard links in a granted directory
/// grants the file.
#[test]
fn hard_links_in_a_granted_directory_are_in_it() {
    let ground = Ground::new();
    fs::hard_link(ground.path("outside/secret"), ground.path("root/hard")).unwrap();
    ground.fine("assert(fs.read(R .. '/hard') == 'outside') fs.write(R .. '/hard', 'mine')");
    ground.outside_is_as_it_was();
}

#[test]
fn a_single_file_can_be_granted() {
    let ground = Ground::new();
    let grant = format!("fs.write:{}/outside/secret", ground.at.display());
    fine(
        &[&grant],
        &ground.script("fs.write(O .. '/secret', fs.read(O .. '/secret') .. '!')"),
    );
    assert_eq!(
        fs::read_to_string(ground.path("outside/secret")).unwrap(),
        "outside!"
    );
    refused(
        &[&grant],
        &ground.script("fs.write(O .. '/other', '')"),
        "is not granted",
    );
    refused(&[&grant], &ground.script("fs.list(O)"), "is not granted");
}

/// Swaps two names back and forth for as long as `work` takes.
fn swapping(one: &Path, other: &Path, work: impl FnOnce()) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let swaps = scope.spawn(|| {
            let mut swaps = 0;
            while !done.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, exchange)
                    .unwrap();
                swaps += 1;
                // Leaves room for other tests.
                std::thread::sleep(std::time::Duration::from_micros(20));
            }
            swaps
        });
        work();
        done.store(true, Ordering::Relaxed);
        assert!(swaps.join().unwrap() > 1000, "too few swaps");
    });
}

const RACE: &str = "local inside, refused = 0, 0
for i = 1, 10000 do
  local ok, text = pcall(fs.read, R .. '/x/secret')
  if ok then assert(text == 'inside', text) inside += 1 else refused += 1 end
  pcall(fs.write, R .. '/x/new', 'x')
  pcall(fs.write, R .. '/x/secret', '', { append = true })
  if i % 10 == 0 then
    pcall(fs.mkdir, R .. '/x/directory')
    pcall(fs.remove_all, R .. '/x/new')
    pcall(fs.chmod, R .. '/x/secret', '0644')
    pcall(fs.rename, R .. '/x/directory', R .. '/x/renamed')
    pcall(fs.allocate, R .. '/x/image', 1)
    local ok, names = pcall(fs.list, R .. '/x')
    assert(not ok or table.find(names, 'mark'), 'listed outside')
  end
end
assert(inside > 100 and refused > 100, `{inside} {refused}`)";

#[test]
fn a_directory_swapped_for_a_link_repeatedly_never_leads_out() {
    let ground = Ground::in_memory();
    fs::write(ground.path("root/inside/mark"), "").unwrap();
    fs::rename(ground.path("root/inside"), ground.path("root/x")).unwrap();
    ground.link("root/y", ground.path("outside"));
    swapping(&ground.path("root/x"), &ground.path("root/y"), || {
        ground.fine(RACE)
    });
    ground.outside_is_as_it_was();
}

#[test]
fn a_file_swapped_for_a_link_repeatedly_never_leads_out() {
    let ground = Ground::in_memory();
    fs::rename(ground.path("root/inside/secret"), ground.path("root/x")).unwrap();
    ground.link("root/y", ground.path("outside/secret"));
    let body = "local inside, refused = 0, 0
        for i = 1, 10000 do
          local ok, text = pcall(fs.read, R .. '/x')
          if ok then assert(string.sub(text, 1, 6) == 'inside', text) inside += 1 else refused += 1 end
          pcall(fs.write, R .. '/x', '!', { append = true })
          pcall(fs.chmod, R .. '/x', '0600')
        end
        assert(inside > 100 and refused > 100, `{inside} {refused}`)";
    swapping(&ground.path("root/x"), &ground.path("root/y"), || {
        ground.fine(body)
    });
    ground.outside_is_as_it_was();
}
