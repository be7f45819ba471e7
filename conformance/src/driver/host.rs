//! What the host's kernel knows of a home: who has files of it open, which of them are locked.

use std::path::{Path, PathBuf};

/// Returns the files below `home` that processes of a group have open.
pub fn open_files(group: u32, home: &Path) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = processes.map(|entry| entry.path()).filter(|process| in_group(process, group));
    processes
        .flat_map(|process| std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten())
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter(|target| target.starts_with(home))
        .collect()
}

fn in_group(process: &Path, group: u32) -> bool {
    // proc(5), /proc/pid/stat: after the name in parentheses come state, parent and process group.
    let Ok(stat) = std::fs::read_to_string(process.join("stat")) else { return false };
    let Some((_, fields)) = stat.rsplit_once(')') else { return false };
    fields.split_whitespace().nth(2).and_then(|field| field.parse().ok()) == Some(group)
}

/// Returns a file of a home's partial downloads on which somebody holds a lock.
pub fn locked_file(home: &Path) -> Option<PathBuf> {
    let files = walk(&home.join("ingest"));
    files.into_iter().find(|path| {
        let Ok(file) = std::fs::File::open(path) else { return false };
        // Let go of with the file.
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err()
    })
}

/// Counts the partial downloads of a home that hold something.
pub fn partials(home: &Path) -> usize {
    walk(&home.join("ingest")).iter().filter(|path| path.metadata().is_ok_and(|file| file.len() > 0)).count()
}

fn walk(directory: &Path) -> Vec<PathBuf> {
    let (mut files, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => waiting.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}
