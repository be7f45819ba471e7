//! Looking one path up.

use boxlite_protocol::{Answer, FileStat};
use boxlite_types::Result;
use rustix::fs::{AtFlags, CWD, FileType};

use super::{check_path, nanoseconds};
use crate::failure::{failed, show};

pub(crate) fn stat(path: &[u8], follow: bool) -> Result<Answer> {
    check_path(path)?;
    let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
    let fail = |errno| failed(format!("look up `{}`", show(path)), errno);
    let stat = rustix::fs::statat(CWD, path, flags).map_err(fail)?;
    let link_target = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => Some(rustix::fs::readlink(path, Vec::new()).map_err(fail)?.into_bytes()),
        _ => None,
    };
    Ok(Answer::Stat(FileStat {
        mode: stat.st_mode,
        size_bytes: stat.st_size as u64,
        uid: stat.st_uid,
        gid: stat.st_gid,
        modified_ns: nanoseconds(&stat),
        link_target,
    }))
}
