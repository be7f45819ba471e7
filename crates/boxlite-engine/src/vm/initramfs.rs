//! The initial file system of a machine: the agent as `/init`, the modules, and their order in `/modules.list`.
//!
//! An uncompressed cpio archive (Documentation/driver-api/early-userspace/buffer-format.rst in the kernel): the kernel
//! copies it in milliseconds, where decompressing would cost the emulator far more. Deterministic: the same files give
//! the same bytes.

/// The list of modules the agent reads: one path a line, in the order in which they load.
pub const MODULES_LIST: &str = "modules.list";

/// Packs the agent and the modules, each a name and its content in load order.
pub fn pack(agent: &[u8], modules: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Archive::default();
    for directory in ["dev", "proc", "sys", "run", "tmp", "modules"] {
        archive.entry(directory, DIRECTORY | 0o755, &[]);
    }
    // The kernel opens it for its first process before anything is mounted on /dev.
    archive.device("dev/console", 5, 1);
    let mut list = String::new();
    for (name, module) in modules {
        let path = format!("modules/{name}.ko");
        archive.entry(&path, REGULAR | 0o644, module);
        list.push_str(&format!("/{path}\n"));
    }
    archive.entry(MODULES_LIST, REGULAR | 0o644, list.as_bytes());
    archive.entry("init", REGULAR | 0o755, agent);
    archive.finish()
}

const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Name that ends an archive.
const TRAILER: &str = "TRAILER!!!";

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    inode: u32,
}

impl Archive {
    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.header(name, mode, content.len() as u32, (0, 0));
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.header(name, CHARACTER_DEVICE | 0o600, 0, (major, minor));
    }

    fn header(&mut self, name: &str, mode: u32, size: u32, device: (u32, u32)) {
        self.inode += 1;
        let links = if mode & DIRECTORY != 0 { 2 } else { 1 };
        let name_length = name.len() as u32 + 1;
        // Inode, mode, uid, gid, links, time, size, device of the file (two), device it is (two), name, checksum.
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_length, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.header(TRAILER, 0, 0, (0, 0));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an archive back: name, mode and content of every entry.
    fn unpack(mut bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut entries = Vec::new();
        let mut at = 0;
        loop {
            assert_eq!(&bytes[..6], b"070701");
            let field = |index: usize| {
                let text = std::str::from_utf8(&bytes[6 + index * 8..14 + index * 8]).unwrap();
                u32::from_str_radix(text, 16).unwrap()
            };
            let (mode, size, name_length) = (field(1), field(6) as usize, field(11) as usize);
            let name = std::str::from_utf8(&bytes[110..110 + name_length - 1]).unwrap().to_owned();
            let content = (110 + name_length).next_multiple_of(4);
            let end = (content + size).next_multiple_of(4);
            if name == TRAILER {
                assert_eq!(bytes.len(), end);
                return entries;
            }
            entries.push((name, mode, bytes[content..content + size].to_vec()));
            at += end;
            assert_eq!(at % 4, 0);
            bytes = &bytes[end..];
        }
    }

    #[test]
    fn the_archive_holds_agent_modules_and_their_order() {
        let modules = [("b".to_owned(), b"bb".to_vec()), ("a".to_owned(), b"a".to_vec())];
        let packed = pack(b"agent", &modules);
        let entries = unpack(&packed);
        let find = |name: &str| entries.iter().find(|entry| entry.0 == name).unwrap();
        assert_eq!(find("init"), &("init".to_owned(), 0o100_755, b"agent".to_vec()));
        assert_eq!(find("modules/b.ko").2, b"bb");
        assert_eq!(find("modules.list").2, b"/modules/b.ko\n/modules/a.ko\n");
        assert_eq!(find("proc").1, 0o040_755);
        assert_eq!(find("dev/console").1, 0o020_600);
        assert_eq!(packed, pack(b"agent", &modules));
    }
}
