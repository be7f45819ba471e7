//! Images as people use them: busybox, a Debian system with Python, and the same system as a stack of its packages.
//!
//! The Debian system is built once into the target directory, which takes root, the network and a minute or two; see
//! `boxlite_testkit::images::Debian`.

mod support;

use std::path::Path;

use boxlite_testkit::images::{Debian, busybox};
use support::{Converted, Snapshot, check_like_umoci, is_root};

/// The cached system; `None`, having said so, where it cannot be built.
fn debian(test: &str) -> Option<Debian> {
    if !is_root(test) {
        return None;
    }
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    match Debian::in_cache(cache) {
        Ok(debian) => Some(debian),
        Err(error) => {
            eprintln!("skipped: {test} needs a Debian system, which cannot be built here: {error}");
            None
        }
    }
}

#[test]
fn busybox_is_what_umoci_unpacks() {
    if !is_root("busybox") {
        return;
    }
    let tars: Vec<Vec<u8>> = busybox()
        .layers()
        .iter()
        .map(|layer| {
            let mut tar = Vec::new();
            std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&layer.blob[..]), &mut tar).unwrap();
            tar
        })
        .collect();
    check_like_umoci("busybox", &tars);
}

#[test]
fn a_debian_system_is_what_umoci_unpacks() {
    let Some(debian) = debian("a Debian system") else { return };
    check_like_umoci("Debian", &[std::fs::read(debian.system_tar()).unwrap()]);
}

#[test]
fn sixty_packages_are_what_umoci_unpacks() {
    let Some(debian) = debian("a stack of packages") else { return };
    let tars = debian.package_tars().unwrap();
    let layers: Vec<Vec<u8>> = tars.iter().take(60).map(|tar| std::fs::read(tar).unwrap()).collect();
    assert_eq!(layers.len(), 60);
    check_like_umoci("sixty packages", &layers);
}

#[test]
fn all_packages_merge_the_same_alone_and_together() {
    let Some(debian) = debian("all packages") else { return };
    let tars: Vec<Vec<u8>> =
        debian.package_tars().unwrap().iter().map(|tar| std::fs::read(tar).unwrap()).collect();
    // One layer of all packages: each tar without its end, one after the other.
    let mut together = Vec::new();
    for tar in &tars {
        let end = tar.chunks(512).rposition(|block| block.iter().any(|&byte| byte != 0)).unwrap();
        together.extend_from_slice(&tar[..(end + 1) * 512]);
    }
    together.extend_from_slice(&[0; 1024]);
    let stacked = Snapshot::of_erofs(&Converted::of(&tars).unwrap().export());
    let single = Snapshot::of_erofs(&Converted::of(&[together]).unwrap().export());
    assert_eq!(stacked.differences(&single), [""; 0]);
    assert!(stacked.nodes.len() > 5000);
}
