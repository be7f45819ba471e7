//! Layers made by hand to hurt: each stack of them must give the tree that umoci unpacks from it, as the kernel sees it.
//!
//! Where umoci is not the reference, [`deviations`] says why and what is right.

mod support;

use boxlite_testkit::images::Entry;
use support::{Converted, check_like_umoci, is_root, layer};

/// One stack of layers, lowest first.
type Stack = (&'static str, Vec<Vec<Entry>>);

fn file(path: &str, content: &str) -> Entry {
    Entry::file(path, content).modified(1_600_000_000)
}

fn directory(path: &str) -> Entry {
    Entry::directory(path).modified(1_500_000_000)
}

fn base() -> Vec<Entry> {
    vec![
        directory("a"),
        file("a/one", "1"),
        file("a/two", "2"),
        directory("a/deep"),
        file("a/deep/three", "3"),
        directory("b"),
        file("b/four", "4"),
        Entry::symlink("link", "a").modified(3),
        Entry::symlink("absolute", "/a/deep").modified(3),
        Entry::symlink("outside", "../../../b").modified(3),
        Entry::symlink("dangling", "not/there").modified(3),
        Entry::hard_link("b/hard", "a/one"),
    ]
}

fn whiteouts() -> Vec<Stack> {
    let on_base = |name, entries| (name, vec![base(), entries]);
    vec![
        on_base("a file", vec![Entry::whiteout("a/one")]),
        on_base("a directory", vec![Entry::whiteout("a")]),
        on_base("a link, not its target", vec![Entry::whiteout("link")]),
        on_base("something that never was", vec![Entry::whiteout("a/nothing"), Entry::whiteout("x/y/z")]),
        on_base(
            "through a linked parent",
            vec![Entry::whiteout("link/one"), Entry::whiteout("outside/four")],
        ),
        on_base("before its own sibling", vec![Entry::whiteout("a/one"), file("a/one", "new")]),
        on_base("after its own sibling", vec![file("a/one", "new"), Entry::whiteout("a/one")]),
        on_base("of a directory that has something new", vec![file("a/new", "n"), Entry::whiteout("a")]),
        on_base(
            "of a directory that comes back",
            vec![Entry::whiteout("a"), directory("a"), file("a/new", "n")],
        ),
        on_base(
            "of a directory that comes back by implication",
            vec![Entry::whiteout("a"), file("a/x/y", "n")],
        ),
        on_base("of one name of two", vec![Entry::whiteout("b/hard")]),
        on_base("opaque first", vec![Entry::opaque("a"), file("a/new", "n")]),
        on_base("opaque last", vec![directory("a"), file("a/deep/new", "n"), Entry::opaque("a")]),
        on_base("opaque through a link", vec![Entry::opaque("absolute")]),
        on_base("opaque where there is nothing", vec![Entry::opaque("c"), file("c/new", "n")]),
        on_base("opaque root", vec![file("kept", "k"), Entry::file(".wh..wh..opq", "")]),
        on_base("opaque on a file", vec![Entry::opaque("a/one")]),
        on_base(
            "with content and as a directory",
            vec![Entry::file("a/.wh.one", "content of no meaning"), Entry::directory("a/.wh.two")],
        ),
        (
            "again in a third layer",
            vec![
                base(),
                vec![Entry::whiteout("a/one")],
                vec![file("a/one", "back")],
                vec![Entry::opaque("a")],
            ],
        ),
    ]
}

fn replacements() -> Vec<Stack> {
    let on_base = |name, entries| (name, vec![base(), entries]);
    vec![
        on_base("a directory by a file", vec![file("a", "now a file")]),
        on_base("a file by a directory", vec![directory("a/one"), file("a/one/x", "x")]),
        ("and back", vec![base(), vec![file("a", "f")], vec![directory("a"), file("a/again", "x")]]),
        on_base("a directory by a link to another", vec![Entry::symlink("a", "b"), file("a/five", "5")]),
        on_base("a link by a directory", vec![directory("link"), file("link/x", "x")]),
        on_base("a directory's metadata only", vec![directory("a").mode(0o700).owner(3, 4)]),
        on_base("a file that has another name", vec![file("a/one", "replaced")]),
        on_base("the other name", vec![file("b/hard", "replaced")]),
        on_base("a link by a file, not its target", vec![file("link", "no link")]),
        on_base(
            "one path twice in one layer",
            vec![file("a/one", "x"), file("a/one", "y"), directory("a/one")],
        ),
        on_base(
            "everything by something else",
            vec![
                Entry::fifo("a/one"),
                Entry::character_device("a/two", 1, 3),
                Entry::block_device("a/deep", 7, 300),
                Entry::symlink("b", "a").modified(7),
            ],
        ),
        on_base("the root's metadata", vec![Entry::directory("./").mode(0o711).owner(5, 6).modified(77)]),
    ]
}

fn hard_links() -> Vec<Stack> {
    let on_base = |name, entries| (name, vec![base(), entries]);
    vec![
        on_base("across layers", vec![Entry::hard_link("c/linked", "a/deep/three")]),
        on_base("to a symbolic link", vec![Entry::hard_link("again", "link")]),
        on_base(
            "to what this layer replaced before",
            vec![file("a/one", "new"), Entry::hard_link("x", "a/one")],
        ),
        on_base(
            "to what this layer replaces after",
            vec![Entry::hard_link("x", "a/one"), file("a/one", "new")],
        ),
        on_base("through a linked parent, both ways", vec![Entry::hard_link("link/x", "absolute/three")]),
        on_base("with odd spellings", vec![Entry::hard_link("./c//x", "/../a/./one")]),
        on_base("that takes the place of a directory", vec![Entry::hard_link("b", "a/one")]),
        (
            "whose target goes later",
            vec![base(), vec![Entry::hard_link("x", "a/one")], vec![Entry::whiteout("a")]],
        ),
        on_base(
            "to a device",
            vec![Entry::character_device("d", 1, 3).modified(9), Entry::hard_link("e", "d")],
        ),
    ]
}

fn paths() -> Vec<Stack> {
    let on_base = |name, entries| (name, vec![base(), entries]);
    let long = "d/".repeat(200) + "file";
    vec![
        on_base("missing parents", vec![file("p/q/r/s", "x"), Entry::symlink("t/u", "v").modified(1)]),
        on_base("with ./ and //", vec![file("./a//./new", "x")]),
        on_base("absolute", vec![file("/a/new", "x"), Entry::directory("/").modified(5)]),
        on_base("with ..", vec![file("../../a/../b/new", "x"), file("a/../../../top", "t")]),
        on_base("through a linked parent", vec![file("link/new", "x"), directory("absolute/sub")]),
        on_base("through a link that leads out", vec![file("outside/new", "x")]),
        on_base("through a dangling link", vec![file("dangling/new", "x")]),
        on_base(
            "through links of links",
            vec![
                Entry::symlink("l1", "l2/.").modified(1),
                Entry::symlink("l2", "./absolute/..").modified(1),
                file("l1/new", "x"),
            ],
        ),
        on_base(
            "that are no text",
            vec![
                Entry::file(b"a/\xff\xfe\x01", "x").modified(1),
                Entry::symlink(b"\xc3(", b"\xf0\x28").modified(1),
            ],
        ),
        on_base("long, PAX", vec![file(&long, "x")]),
        on_base("long, GNU", vec![file(&long, "x").gnu_long_names()]),
        on_base("as long as a name can be", vec![file(&"n".repeat(255), "x")]),
        on_base(
            "a long link",
            vec![
                Entry::symlink("long1", "t".repeat(4000)).modified(1),
                Entry::symlink("long2", "t".repeat(4095)).modified(1),
            ],
        ),
        on_base(
            "that sort around the dots",
            vec![
                file("a/!", "x"),
                file("a/-", "x"),
                file("a/...", "x"),
                file("a/..x", "x"),
                file("a/.x", "x"),
            ],
        ),
        on_base("below what looks like a whiteout", vec![file("a/x.wh.y", "x"), file("a/.whx", "x")]),
    ]
}

fn metadata() -> Vec<Stack> {
    let on_base = |name, entries| (name, vec![base(), entries]);
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    vec![
        on_base(
            "modes",
            vec![
                file("m000", "x").mode(0),
                file("m4755", "x").mode(0o4755),
                file("m2755", "x").mode(0o2755),
                directory("m1777").mode(0o1777),
                directory("m7000").mode(0o7000),
                file("m7777", "x").mode(0o7777),
                Entry::fifo("fifo").mode(0o600).modified(2),
            ],
        ),
        on_base(
            "owners",
            vec![
                file("o1", "x").owner(65_535, 65_536),
                file("o2", "x").owner(4_294_967_294, 1_000_000),
                directory("o3").owner(1000, 1000),
                Entry::symlink("o4", "x").owner(1000, 1000).modified(2),
            ],
        ),
        on_base(
            "times",
            vec![
                file("t1", "x").modified(0),
                file("t2", "x").modified(8_000_000_000),
                file("t3", "x").pax("mtime", "1234567890.987654321"),
                file("t4", "x").pax("mtime", "-1000.5"),
            ],
        ),
        on_base(
            "attributes",
            vec![
                file("x1", "x").xattr("security.capability", capability),
                file("x2", "x").xattr("security.capability", capability),
                file("x3", "x").xattr("user.a", "1").xattr("user.b", b"\0\xff").xattr("trusted.c", "3"),
                directory("x4").xattr("user.a", "1").xattr("user.long", "v".repeat(3000)),
                file("x5", "with a tail").xattr("user.long", "w".repeat(3900)),
                Entry::symlink("x6", "target").xattr("trusted.t", "4").modified(2),
                // An empty value means "no such record" in PAX, so this sets nothing.
                file("x7", "x").xattr("user.empty", ""),
            ],
        ),
        on_base(
            "devices",
            vec![
                Entry::character_device("c1", 1, 3).mode(0o666).modified(2),
                Entry::character_device("c2", 4095, 1_048_575).modified(2),
                Entry::block_device("b1", 259, 70_000).modified(2),
                Entry::character_device("zero", 0, 0).modified(2),
            ],
        ),
    ]
}

fn contents() -> Vec<Stack> {
    let sizes = [0, 1, 255, 256, 257, 4095, 4096, 4097, 4352, 4353, 8192, 100_000, 1_000_001];
    let sized = sizes.map(|size| {
        let content: Vec<u8> = (0..size).map(|at: usize| (at * 7 + at / 251 + size) as u8).collect();
        Entry::file(format!("size{size}"), content).modified(4)
    });
    let many: Vec<Entry> = (0..3000).map(|number| file(&format!("many/file{number:05}"), "x")).collect();
    vec![
        ("files of every size that matters", vec![sized.to_vec()]),
        ("a directory of many blocks", vec![many.clone(), vec![Entry::whiteout("many/file01000")]]),
        ("nothing at all", vec![vec![]]),
        ("empty layers between", vec![vec![], base(), vec![], vec![file("z", "z")], vec![]]),
        ("one layer twice", vec![base(), base()]),
    ]
}

fn check_all(group: &str, stacks: Vec<Stack>) {
    if !is_root(group) {
        return;
    }
    for (name, layers) in stacks {
        let tars: Vec<Vec<u8>> = layers.iter().map(layer).collect();
        check_like_umoci(&format!("{group}: {name}"), &tars);
    }
}

#[test]
fn whiteouts_are_those_of_umoci() {
    check_all("whiteout", whiteouts());
}

#[test]
fn replacements_are_those_of_umoci() {
    check_all("replacement", replacements());
}

#[test]
fn hard_links_are_those_of_umoci() {
    check_all("hard link", hard_links());
}

#[test]
fn paths_are_those_of_umoci() {
    check_all("path", paths());
}

#[test]
fn metadata_is_that_of_umoci() {
    check_all("metadata", metadata());
}

#[test]
fn contents_are_those_of_umoci() {
    check_all("content", contents());
}

#[test]
fn sixty_layers_are_merged_like_umoci_does() {
    if !is_root("sixty layers") {
        return;
    }
    let layers: Vec<Vec<u8>> = (0..60)
        .map(|number: usize| {
            let mut entries = vec![
                directory("shared").owner(number as u64, 0),
                file(&format!("shared/file{number}"), &format!("of layer {number}")),
                file("shared/always", &number.to_string()),
                Entry::hard_link(format!("linked{number}"), "shared/always"),
            ];
            if number % 3 == 2 {
                entries.push(Entry::whiteout(&format!("shared/file{}", number - 2)));
            }
            if number % 20 == 19 {
                entries.push(Entry::opaque("shared"));
            }
            layer(&entries)
        })
        .collect();
    check_like_umoci("sixty layers", &layers);
}

#[test]
fn the_same_layers_give_the_same_bytes() {
    let tars: Vec<Vec<u8>> = [base(), metadata().remove(3).1.remove(1)].iter().map(layer).collect();
    let bytes = || std::fs::read(Converted::of(&tars).unwrap().metadata()).unwrap();
    assert!(bytes() == bytes());
}
