//! The agent with a cgroup of its own, as it is in a machine. Needs root and a cgroup v2 hierarchy to make one in.

mod common;

use std::path::{Path, PathBuf};

use boxlite_types::ExitStatus;
use common::{command, finish, output_of, run, shell, start_with};

/// A cgroup below the root of the hierarchy, removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Cgroup> {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let hierarchy =
            mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"))?.split(' ').nth(1)?;
        let path = Path::new(hierarchy).join(format!("boxlite-agent-test-{name}-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Cgroup(path)),
            Err(error) => {
                eprintln!("skipped: cannot make a cgroup: {error}");
                None
            }
        }
    }

    fn children(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().flatten().filter(|entry| entry.path().is_dir()).count()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::write(self.0.join("cgroup.kill"), "1");
        for entry in std::fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(entry.path());
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[tokio::test]
async fn a_kill_ends_the_cgroup_and_nothing_of_it_is_left() {
    let Some(cgroup) = Cgroup::new("kill") else { return };
    let fixture = start_with(&["--cgroup", cgroup.0.to_str().unwrap()]).await;
    assert!(output_of(&fixture.session, "cat /proc/self/cgroup").await.contains("boxlite-agent-test-kill"));
    let script = "setsid sh -c 'setsid sleep 1000 & echo on; exec sleep 1000' & sleep 1000";
    let mut process = fixture.session.exec(shell(script)).await.unwrap();
    assert_eq!(process.stdout.next_chunk().await.unwrap(), "on\n");
    process.kill().await.unwrap();
    assert_eq!(finish(process).await.unwrap().status.signal, Some(9));
    while cgroup.children() > 0 {
        // Each command's end makes the agent look for cgroups that are empty by now.
        assert!(run(&fixture.session, command(&["true"])).await.unwrap().status.success());
    }
}

#[tokio::test]
async fn a_daemon_left_behind_keeps_its_cgroup_until_it_ends() {
    let Some(cgroup) = Cgroup::new("daemon") else { return };
    let fixture = start_with(&["--cgroup", cgroup.0.to_str().unwrap()]).await;
    let ended = run(&fixture.session, shell("sleep 1000 >/dev/null 2>&1 & echo $!")).await.unwrap();
    assert_eq!(ended.status, ExitStatus::exited(0));
    assert_eq!(cgroup.children(), 1);
    let pid = String::from_utf8(ended.stdout).unwrap();
    output_of(&fixture.session, &format!("kill -9 {pid}")).await;
    while cgroup.children() > 0 {
        assert!(run(&fixture.session, command(&["true"])).await.unwrap().status.success());
    }
}
