//! References that no registry should ever be asked for, and those whose registry is not there.

use boxlite_types::ErrorCode::{InvalidArgument, Network, NotFound};

use crate::scene::{Bad, Case};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    Case { name: "an empty reference", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("") },
    Case { name: "a reference of spaces", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("  ") },
    Case { name: "a capital letter in the repository", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/Library/app:1") },
    Case { name: "an empty tag", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app:") },
    Case { name: "a tag that starts with a dash", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app:-x") },
    Case { name: "a tag with a slash", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app:a/b") },
    Case { name: "two tags", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app:1:2") },
    Case { name: "a digest that is too short", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app@sha256:abcd") },
    Case { name: "a digest in capital letters", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(format!("127.0.0.1:5000/app@sha256:{}", "AB".repeat(32))) },
    Case { name: "a digest of an unknown algorithm", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(format!("127.0.0.1:5000/app@sha512:{}", "ab".repeat(64))) },
    Case { name: "an empty digest", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app@") },
    Case { name: "two digests", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(format!("127.0.0.1:5000/app@sha256:{0}@sha256:{0}", "ab".repeat(32))) },
    Case { name: "a path that climbs out", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/../../etc/passwd") },
    Case { name: "an empty path component", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/library//app") },
    Case { name: "a trailing slash", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app/") },
    Case { name: "a registry alone", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/") },
    Case { name: "a repository of 256 characters", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(format!("127.0.0.1:5000/{}", "a".repeat(256))) },
    Case { name: "a tag of 129 characters", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(format!("127.0.0.1:5000/app:{}", "a".repeat(129))) },
    Case { name: "a space before the name", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull(" app:1") },
    Case { name: "an address", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("https://127.0.0.1:5000/app:1") },
    Case { name: "letters outside ASCII", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/größe:1") },
    Case { name: "a port that is no number", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:port/app:1") },
    Case { name: "a port out of range", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:99999/app:1") },
    Case { name: "credentials in the reference", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("user:secret@127.0.0.1:5000/app:1") },
    Case { name: "a query", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app?x=1") },
    Case { name: "percent encoding", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/a%2fb:1") },
    Case { name: "an image id", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("ab".repeat(32)) },
    Case { name: "a line break in the reference", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app\n:1") },
    Case { name: "a NUL in the reference", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/app\0:1") },
    Case { name: "a terminal escape in the reference", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("127.0.0.1:5000/\u{1b}[31mapp:1") },
    Case { name: "a reference of a megabyte", expect: InvalidArgument, says: &["malformed image reference"], setup: |_| Bad::pull("a/".repeat(1 << 19)) },
    Case { name: "a name without a registry where none is searched", expect: InvalidArgument, says: &["app:1"], setup: |_| Bad::pull("app:1") },
    Case { name: "a registry that nobody runs", expect: Network, says: &["127.0.0.1:1"], setup: |_| Bad::pull("127.0.0.1:1/app:1") },
    Case { name: "a tag that does not exist", expect: NotFound, says: &["library/innocent", "missing"], setup: |scene| Bad::pull(scene.registry.reference("library/innocent:missing")) },
    Case { name: "a repository that does not exist", expect: NotFound, says: &["library/nothing"], setup: |scene| Bad::pull(scene.registry.reference("library/nothing:1")) },
    Case { name: "a digest that does not exist", expect: NotFound, says: &["sha256:abab"], setup: |scene| Bad::pull(scene.registry.reference(&format!("library/innocent@sha256:{}", "ab".repeat(32)))) },
];
