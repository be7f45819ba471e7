//! An export that is given up leaves nothing of itself.

mod support;

use boxlite_rootfs::export;
use boxlite_testkit::images::Entry;
use boxlite_types::ErrorCode;
use support::{Converted, layer};

#[test]
fn an_export_that_is_given_up_leaves_no_file() {
    let image = Converted::of(&["a", "b"].map(|name| layer(&[Entry::file(name, vec![7; 10_000])]))).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    // The metadata and two layers: a place to give up before each, and one export that nobody gives up.
    for pieces in 0..=3 {
        let mut asked = 0;
        let given_up = || {
            asked += 1;
            asked > pieces
        };
        match export(&image.metadata(), image.layers(), &out, given_up) {
            Ok(()) => assert!(pieces == 3 && out.exists()),
            Err(error) => {
                assert_eq!((error.code(), pieces < 3), (ErrorCode::Cancelled, true));
                assert!(!out.exists());
            }
        }
    }
}
