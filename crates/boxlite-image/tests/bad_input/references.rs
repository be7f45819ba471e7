//! References that no registry should ever be asked for, and those whose registry is not there.

use boxlite_types::ErrorCode::{InvalidArgument, Network, NotFound};

use crate::scene::{Bad, Case, case};

#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("an empty reference", InvalidArgument, &["malformed image reference"], |_| Bad::pull("")),
    case("a reference of spaces", InvalidArgument, &["malformed image reference"], |_| Bad::pull("  ")),
    case("a capital letter in the repository", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/Library/app:1")),
    case("an empty tag", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app:")),
    case("a tag that starts with a dash", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app:-x")),
    case("a tag with a slash", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app:a/b")),
    case("two tags", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app:1:2")),
    case("a digest that is too short", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app@sha256:abcd")),
    case("a digest in capital letters", InvalidArgument, &["malformed image reference"], |_| {
        Bad::pull(format!("127.0.0.1:5000/app@sha256:{}", "AB".repeat(32)))
    }),
    case("a digest of an unknown algorithm", InvalidArgument, &["malformed image reference"], |_| {
        Bad::pull(format!("127.0.0.1:5000/app@sha512:{}", "ab".repeat(64)))
    }),
    case("an empty digest", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app@")),
    case("two digests", InvalidArgument, &["malformed image reference"], |_| {
        Bad::pull(format!("127.0.0.1:5000/app@sha256:{0}@sha256:{0}", "ab".repeat(32)))
    }),
    case("a path that climbs out", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/../../etc/passwd")),
    case("an empty path component", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/library//app")),
    case("a trailing slash", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app/")),
    case("a registry alone", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/")),
    case("a repository of 256 characters", InvalidArgument, &["malformed image reference"], |_| {
        Bad::pull(format!("127.0.0.1:5000/{}", "a".repeat(256)))
    }),
    case("a tag of 129 characters", InvalidArgument, &["malformed image reference"], |_| {
        Bad::pull(format!("127.0.0.1:5000/app:{}", "a".repeat(129)))
    }),
    case("a space before the name", InvalidArgument, &["malformed image reference"], |_| Bad::pull(" app:1")),
    case("an address", InvalidArgument, &["malformed image reference"], |_| Bad::pull("https://127.0.0.1:5000/app:1")),
    case("letters outside ASCII", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/größe:1")),
    case("a port that is no number", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:port/app:1")),
    case("a port out of range", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:99999/app:1")),
    case("credentials in the reference", InvalidArgument, &["malformed image reference"], |_| Bad::pull("user:secret@127.0.0.1:5000/app:1")),
    case("a query", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app?x=1")),
    case("percent encoding", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/a%2fb:1")),
    case("an image id", InvalidArgument, &["malformed image reference"], |_| Bad::pull("ab".repeat(32))),
    case("a line break in the reference", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app\n:1")),
    case("a NUL in the reference", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/app\0:1")),
    case("a terminal escape in the reference", InvalidArgument, &["malformed image reference"], |_| Bad::pull("127.0.0.1:5000/\u{1b}[31mapp:1")),
    case("a reference of a megabyte", InvalidArgument, &["malformed image reference"], |_| Bad::pull("a/".repeat(1 << 19))),
    case("a name without a registry where none is searched", InvalidArgument, &["app:1"], |_| Bad::pull("app:1")),
    case("a registry that nobody runs", Network, &["127.0.0.1:1"], |_| Bad::pull("127.0.0.1:1/app:1")),
    case("a tag that does not exist", NotFound, &["library/innocent", "missing"], |scene| {
        Bad::pull(scene.registry.reference("library/innocent:missing"))
    }),
    case("a repository that does not exist", NotFound, &["library/nothing"], |scene| Bad::pull(scene.registry.reference("library/nothing:1"))),
    case("a digest that does not exist", NotFound, &["sha256:abab"], |scene| {
        Bad::pull(scene.registry.reference(&format!("library/innocent@sha256:{}", "ab".repeat(32))))
    }),
];
