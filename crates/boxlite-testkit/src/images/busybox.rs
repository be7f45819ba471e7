//! A small image that really runs: the host's static busybox with a link for each of its commands.

use std::process::Command;
use std::sync::OnceLock;

use super::entry::Entry;
use super::image::Image;
use super::layer::Layer;

/// Where Debian's package `busybox-static` puts it.
const BUSYBOX: &str = "/bin/busybox";

/// Returns an image of one layer, about 1 MB compressed, that boots in a machine: busybox, a shell, `/etc/passwd`, the
/// users root (0) and nobody (65534), and the directories that kernel file systems are mounted on. Made once per process.
///
/// # Panics
/// If the host has no `/bin/busybox`, which the package `busybox-static` brings.
pub fn busybox() -> Image {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    Image::new([LAYER.get_or_init(|| Layer::from_entries(entries())).clone()])
}

fn entries() -> Vec<Entry> {
    let program = std::fs::read(BUSYBOX)
        .unwrap_or_else(|error| panic!("cannot read `{BUSYBOX}` (package busybox-static): {error}"));
    let listed = Command::new(BUSYBOX).arg("--list-full").output().expect("busybox --list-full");
    let commands = String::from_utf8(listed.stdout).expect("names of commands");

    let mut entries: Vec<Entry> =
        "bin dev etc home proc root run sbin sys tmp usr usr/bin usr/sbin var var/tmp"
            .split(' ')
            .map(|path| match path {
                "tmp" | "var/tmp" => Entry::directory(path).mode(0o1777),
                "root" => Entry::directory(path).mode(0o700),
                _ => Entry::directory(path),
            })
            .collect();
    entries.push(Entry::file("bin/busybox", program).mode(0o755));
    entries.push(Entry::file(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
    ));
    entries.push(Entry::file("etc/group", "root:x:0:\nnogroup:x:65534:\n"));
    let mut links: Vec<&str> = commands.lines().filter(|path| *path != "bin/busybox").collect();
    links.sort_unstable();
    links.dedup();
    let known = ["bin/", "sbin/", "usr/bin/", "usr/sbin/"];
    let inside = |path: &&str| {
        known.iter().any(|prefix| path.strip_prefix(prefix).is_some_and(|name| !name.contains('/')))
    };
    entries.extend(links.into_iter().filter(inside).map(|path| Entry::symlink(path, BUSYBOX)));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_a_shell() {
        let entries = entries();
        assert!(entries.contains(&Entry::symlink("bin/sh", "/bin/busybox")));
        assert_eq!(busybox().build(), busybox().build());
    }
}
