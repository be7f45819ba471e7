//! Which kernel modules a machine needs, and in which order they load.
//!
//! A package has no `modules.dep` (it is made when a package is installed), so dependencies are read from the modules
//! themselves: the `depends=` of their `.modinfo`. What a kernel has built in is no module and is left out.

use std::collections::{BTreeMap, BTreeSet};

use boxlite_types::{Error, ErrorCode, Result};

/// What a machine needs of its kernel besides what every kernel has: its bus, its disks, its console port, and the
/// filesystems of its root.
pub const REQUIRED: [&str; 6] = ["virtio_mmio", "virtio_blk", "virtio_console", "ext4", "erofs", "overlay"];

/// What these usually depend on; asked for along with them, so that one pass over a package is enough.
pub const USUAL_DEPENDENCIES: [&str; 12] = [
    "virtio_ring",
    "virtio",
    "libcrc32c",
    "crc32c_generic",
    "crc16",
    "jbd2",
    "mbcache",
    "netfs",
    "fscache",
    "lz4_decompress",
    "xxhash",
    "zstd_decompress",
];

/// The modules found so far, by name.
#[derive(Debug, Default)]
pub struct ModuleSet {
    found: BTreeMap<String, Vec<u8>>,
    builtin: BTreeSet<String>,
}

impl ModuleSet {
    /// Adds a module, decompressed.
    pub fn insert(&mut self, name: &str, module: Vec<u8>) {
        self.found.insert(name.to_owned(), module);
    }

    /// Adds the names in a `modules.builtin` file.
    pub fn insert_builtin(&mut self, list: &str) {
        self.builtin.extend(list.lines().filter_map(module_name).map(|(name, _)| name));
    }

    /// Returns what is needed and neither found nor known to be built in.
    pub fn missing(&self) -> BTreeSet<String> {
        let mut missing = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<String> = REQUIRED.iter().map(|name| (*name).to_owned()).collect();
        while let Some(name) = waiting.pop() {
            if self.builtin.contains(&name) || !seen.insert(name.clone()) {
                continue;
            }
            match self.found.get(&name) {
                Some(module) => waiting.extend(dependencies(module)),
                None => drop(missing.insert(name)),
            }
        }
        missing
    }

    /// Returns the modules in an order in which each finds its dependencies loaded.
    ///
    /// # Errors
    /// `Unsupported` if something is missing.
    pub fn in_load_order(&self) -> Result<Vec<(&str, &[u8])>> {
        let missing = self.missing();
        if !missing.is_empty() {
            let names: Vec<String> = missing.into_iter().collect();
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("the kernel has no module and no built-in `{}`", names.join("`, `")),
            )
            .hint("name a kernel with virtio over MMIO, ext4, EROFS and overlayfs: `boxlite kernel install --package FILE`"));
        }
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        for name in REQUIRED {
            self.visit(name, &mut seen, &mut order);
        }
        Ok(order)
    }

    /// Depth first; `seen` is marked on the way down, so that a circle of dependencies ends.
    fn visit<'a>(&'a self, name: &str, seen: &mut BTreeSet<String>, order: &mut Vec<(&'a str, &'a [u8])>) {
        if !seen.insert(name.to_owned()) {
            return;
        }
        let Some((name, module)) = self.found.get_key_value(name) else { return };
        // Dependencies are listed the other way round: the last one needs no other.
        let dependencies: Vec<String> = dependencies(module).collect();
        for dependency in dependencies.iter().rev() {
            self.visit(dependency, seen, order);
        }
        order.push((name, module));
    }
}

/// Returns the name of the module in a file and the suffix that says how it is compressed, empty if it is not; `None` if
/// it is no module. The kernel takes `-` and `_` for the same.
pub fn module_name(path: &str) -> Option<(String, &str)> {
    let file = path.rsplit('/').next()?;
    let (name, compression) = file.split_once(".ko")?;
    matches!(compression, "" | ".xz" | ".gz" | ".zst").then(|| (name.replace('-', "_"), compression))
}

/// The names after `depends=` in a module.
fn dependencies(module: &[u8]) -> impl Iterator<Item = String> + '_ {
    const KEY: &[u8] = b"\0depends=";
    // `.modinfo` is a sequence of strings that end with zero; searching them spares a parser of ELF sections.
    let list = module.windows(KEY.len()).position(|window| window == KEY).map(|found| {
        let text = &module[found + KEY.len()..];
        &text[..text.iter().position(|byte| *byte == 0).unwrap_or(0)]
    });
    let names = list.unwrap_or_default().split(|byte| *byte == b',').filter(|name| !name.is_empty());
    names.map(|name| String::from_utf8_lossy(name).replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(depends: &str) -> Vec<u8> {
        format!("\x7fELF...\0license=GPL\0depends={depends}\0name=x\0").into_bytes()
    }

    fn set(modules: &[(&str, &str)], builtin: &str) -> ModuleSet {
        let mut set = ModuleSet::default();
        modules.iter().for_each(|(name, depends)| set.insert(name, module(depends)));
        set.insert_builtin(builtin);
        set
    }

    #[test]
    fn every_module_loads_after_what_it_depends_on() {
        let set = set(
            &[
                ("erofs", "libcrc32c"),
                ("libcrc32c", ""),
                ("overlay", ""),
                ("virtio", "virtio_ring"),
                ("virtio_blk", "virtio,virtio-ring"),
                ("virtio_console", "virtio,virtio_ring"),
                ("virtio_mmio", "virtio,virtio_ring"),
                ("virtio_ring", ""),
                ("unneeded", ""),
            ],
            "kernel/fs/ext4/ext4.ko\n",
        );
        let order: Vec<&str> = set.in_load_order().unwrap().into_iter().map(|(name, _)| name).collect();
        let expect = [
            "virtio_ring",
            "virtio",
            "virtio_mmio",
            "virtio_blk",
            "virtio_console",
            "libcrc32c",
            "erofs",
            "overlay",
        ];
        assert_eq!(order, expect);
    }

    #[test]
    fn a_missing_module_is_named_with_what_it_would_have_brought() {
        let set = set(&[("erofs", "libcrc32c"), ("overlay", ""), ("virtio_mmio", "")], "kernel/fs/ext4.ko\n");
        assert_eq!(
            set.missing().into_iter().collect::<Vec<_>>(),
            ["libcrc32c", "virtio_blk", "virtio_console"]
        );
        let error = set.in_load_order().unwrap_err();
        assert!(error.message().contains("`libcrc32c`, `virtio_blk`"), "{error:?}");
        assert_eq!(error.code(), ErrorCode::Unsupported);
    }

    #[test]
    fn a_circle_of_dependencies_ends() {
        let all = "a/virtio_blk.ko\na/virtio_console.ko\na/ext4.ko\na/erofs.ko\na/overlay.ko\n";
        let set = set(&[("virtio_mmio", "b"), ("b", "c"), ("c", "b,virtio_mmio")], all);
        assert_eq!(set.in_load_order().unwrap().len(), 3);
    }

    #[test]
    fn names_come_from_paths() {
        let check = |path: &str, expect: Option<(&str, &str)>| {
            let found = module_name(path);
            assert_eq!(
                found.as_ref().map(|(name, compression)| (name.as_str(), *compression)),
                expect,
                "{path}"
            );
        };
        check("kernel/drivers/block/virtio_blk.ko", Some(("virtio_blk", "")));
        check("crc32c-intel.ko.xz", Some(("crc32c_intel", ".xz")));
        check("a.ko.zst", Some(("a", ".zst")));
        check("a.ko.bak", None);
        check("modules.builtin", None);
    }
}
