//! A cgroup of a test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long it may take until the last thread has left.
const LONG: Duration = Duration::from_secs(20);

/// A cgroup for single threads, with one below. Only for threads: a process cannot be in two. It goes with the test.
pub(crate) struct Group {
    pub(crate) path: PathBuf,
    /// Where the test's threads were before.
    pub(crate) home: PathBuf,
}

impl Group {
    pub(crate) fn new(name: &str) -> Group {
        let mount = rawbpf::links::cgroup::mount_point().expect("cgroup2 is mounted");
        let own = fs::read_to_string("/proc/self/cgroup").expect("procfs is mounted");
        let own = own.lines().find_map(|l| l.strip_prefix("0::/")).expect("this process is in a cgroup");
        let home = mount.join(own);
        let path = home.join(format!("rawbpf-{name}-{}", std::process::id()));
        let group = Group { path, home };
        fs::create_dir_all(group.below()).expect("a cgroup is made");
        for group in [group.path.clone(), group.below()] {
            fs::write(group.join("cgroup.type"), "threaded").expect("it takes threads");
        }
        group
    }

    /// The cgroup below it.
    pub(crate) fn below(&self) -> PathBuf {
        self.path.join("below")
    }

    /// Does this with the thread in the cgroup.
    pub(crate) fn inside<T>(&self, act: impl FnOnce() -> T) -> T {
        enter(&self.path);
        let value = act();
        enter(&self.home);
        value
    }
}

/// Moves this thread to a cgroup.
pub(crate) fn enter(group: &Path) {
    let thread = nix::unistd::gettid().to_string();
    fs::write(group.join("cgroup.threads"), thread).expect("the thread is moved");
}

impl Drop for Group {
    fn drop(&mut self) {
        enter(&self.home);
        // A cgroup that a program was attached to without a link would still go, and the program with it.
        let _ = fs::remove_dir(self.below());
        // Threads that the test has started in it may take a moment to end.
        let since = Instant::now();
        while fs::remove_dir(&self.path).is_err() && since.elapsed() < LONG {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
