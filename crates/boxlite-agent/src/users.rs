//! Who `user[:group]` is, by the box's own `/etc/passwd` and `/etc/group`.
//!
//! The rules are those of `docker run --user`: names or numbers; a number without an entry is taken as it is, with group 0;
//! supplementary groups are those that list the user, and none if a group was named.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use boxlite_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};

/// More than any honest file of users has.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Who a command runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: Vec<u8>,
}

/// Looks a user up in the box.
pub(crate) fn resolve(user: &str) -> Result<Identity> {
    find(user, &read("/etc/passwd"), &read("/etc/group"))
}

/// Reads a file of the box; one that is not there, or is no file, has no entries.
fn read(path: &str) -> Vec<u8> {
    // Opening a named pipe would wait for a writer without O_NONBLOCK.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut content = Vec::new();
    if let Ok(file) = file
        && file.metadata().is_ok_and(|metadata| metadata.is_file())
        && file.take(MOST_BYTES).read_to_end(&mut content).is_err()
    {
        content.clear();
    }
    content
}

fn find(user: &str, passwd: &[u8], group: &[u8]) -> Result<Identity> {
    let (user, group_wanted) = user.split_once(':').unwrap_or((user, ""));
    let user = if user.is_empty() { "0" } else { user };
    let number = number(user);
    let entry = entries(passwd).find(|fields| {
        fields.len() >= 4 && (fields[0] == user.as_bytes() || number.is_some() && parse(fields[2]) == number)
    });
    let mut identity = match (&entry, number) {
        (Some(fields), _) => Identity {
            uid: parse(fields[2]).ok_or_else(|| unknown("user", user, "/etc/passwd"))?,
            gid: parse(fields[3]).ok_or_else(|| unknown("user", user, "/etc/passwd"))?,
            groups: Vec::new(),
            home: fields.get(5).filter(|home| !home.is_empty()).map_or(b"/".to_vec(), |home| home.to_vec()),
        },
        (None, Some(uid)) => {
            let home = if uid == 0 { b"/root".to_vec() } else { b"/".to_vec() };
            Identity { uid, gid: 0, groups: Vec::new(), home }
        }
        (None, None) => return Err(unknown("user", user, "/etc/passwd")),
    };
    let groups = entries(group).filter(|fields| fields.len() >= 3);
    if group_wanted.is_empty() {
        if let Some(name) = entry.map(|fields| fields[0]) {
            let listed = groups
                .filter(|fields| {
                    fields.get(3).is_some_and(|list| list.split(|b| *b == b',').any(|user| user == name))
                })
                .filter_map(|fields| parse(fields[2]));
            identity.groups = listed.collect();
        }
        if !identity.groups.contains(&identity.gid) {
            identity.groups.insert(0, identity.gid);
        }
    } else {
        let wanted = self::number(group_wanted);
        let found = groups
            .filter(|fields| {
                fields[0] == group_wanted.as_bytes() || wanted.is_some() && parse(fields[2]) == wanted
            })
            .find_map(|fields| parse(fields[2]));
        identity.gid = found.or(wanted).ok_or_else(|| unknown("group", group_wanted, "/etc/group"))?;
        identity.groups = vec![identity.gid];
    }
    Ok(identity)
}

fn entries(content: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    content.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

fn parse(field: &[u8]) -> Option<u32> {
    number(std::str::from_utf8(field).ok()?)
}

/// Ids go to 2^31 - 1, as in docker: the largest `u32` means "leave it" to the kernel.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id <= i32::MAX as u32)
}

fn unknown(what: &str, name: &str, file: &str) -> Error {
    Error::new(ErrorCode::InvalidArgument, format!("no {what} `{name}` in the box's `{file}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\n\nbroken\nweb:x:33:34:Web:/srv/web:/bin/false\n7:x:8:8::/seven:\nhomeless:x:50:50:::\n";
    const GROUP: &[u8] = b"root:x:0:\nweb:x:34:\nadm:x:4:root,web\nstaff:x:60:web\n";

    #[test]
    fn users_are_resolved_by_dockers_rules() {
        let check = |user: &str, uid: u32, gid: u32, groups: &[u32], home: &str| {
            let expect = Identity { uid, gid, groups: groups.to_vec(), home: home.as_bytes().to_vec() };
            assert_eq!(find(user, PASSWD, GROUP).unwrap(), expect, "{user}");
        };
        check("", 0, 0, &[0, 4], "/root");
        check("root", 0, 0, &[0, 4], "/root");
        check("web", 33, 34, &[34, 4, 60], "/srv/web");
        check("33", 33, 34, &[34, 4, 60], "/srv/web");
        check("web:staff", 33, 60, &[60], "/srv/web");
        check("web:99", 33, 99, &[99], "/srv/web");
        check(":4", 0, 4, &[4], "/root");
        check("1234", 1234, 0, &[0], "/");
        check("1234:5", 1234, 5, &[5], "/");
        check("7", 8, 8, &[8], "/seven");
        check("homeless", 50, 50, &[50], "/");
    }

    #[test]
    fn users_and_groups_that_are_nowhere_are_refused() {
        for user in ["nobody", "web:nogroup", "-1", "4294967295", "2147483648", "+5"] {
            assert_eq!(find(user, PASSWD, GROUP).unwrap_err().code(), ErrorCode::InvalidArgument, "{user}");
        }
    }

    #[test]
    fn an_image_without_files_of_users_has_root_and_numbers() {
        assert_eq!(find("", b"", b"").unwrap().home, b"/root");
        assert_eq!(find("5:6", b"", b"").unwrap().gid, 6);
    }
}
