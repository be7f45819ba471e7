//! Whether a box as it is asked for can be at all. Looks at the request alone, not at the host or the store.

use boxlite_types::{BoxSpec, Error, ErrorCode, ExecSpec, Result};

fn invalid(message: String) -> Error {
    Error::new(ErrorCode::InvalidArgument, message)
}

/// Checks a box specification.
///
/// # Errors
/// `InvalidArgument`, naming the field and what it may be.
pub(crate) fn check_spec(spec: &BoxSpec) -> Result<()> {
    if spec.image.trim().is_empty() {
        return Err(invalid("the image reference of a box is empty".into()));
    }
    if let Some(name) = &spec.name {
        check_name(name)?;
    }
    let resources = &spec.resources;
    check_range("cpus", resources.cpus, 1, 16, "")?;
    check_range("memory", resources.memory_mib, 128, 65_536, " MiB")?;
    check_range("disk", resources.disk_mib, 64, 61_440, " MiB")?;
    spec.env.iter().try_for_each(|entry| check_env(entry))?;
    for label in &spec.labels {
        if label.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
            return Err(invalid(format!("label `{label}` is not of the form `NAME=value`")));
        }
    }
    check_cwd(spec.cwd.as_deref())?;
    check_user(spec.user.as_deref())?;
    if let Some(hostname) = &spec.hostname {
        check_hostname(hostname)?;
    }
    match &spec.main {
        Some(main) if main.detach => {
            Err(invalid("the main command of a box cannot be detached from it".into())
                .hint("detach the box: it goes on with its main command when its owner is gone"))
        }
        Some(main) => check_exec_details(main),
        None => Ok(()),
    }
}

/// Checks a command; its program may come from the image, so an empty one is no error here.
pub(crate) fn check_exec_details(spec: &ExecSpec) -> Result<()> {
    if spec.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(invalid("an argument of a command contains a NUL byte".into()));
    }
    for (name, value) in &spec.env {
        check_env_name(name)?;
        if value.contains('\0') {
            return Err(invalid(format!("the value of environment variable `{name}` contains a NUL byte")));
        }
    }
    check_cwd(spec.cwd.as_deref())?;
    check_user(spec.user.as_deref())?;
    if spec.timeout_ms == Some(0) {
        return Err(invalid("a timeout of 0 ms leaves a command no time".into()));
    }
    if spec.detach && spec.stdin {
        return Err(invalid("a detached command has no stdin".into()));
    }
    Ok(())
}

fn check_range(what: &str, value: u32, least: u32, most: u32, unit: &str) -> Result<()> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(invalid(format!("{what} of {value}{unit} is out of range; {least} to {most}{unit} are possible")))
}

/// Letters, digits, `_`, `.`, `-`; a letter or digit first; at most 63.
fn check_name(name: &str) -> Result<()> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if first && name.len() <= 63 && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
        return Ok(());
    }
    Err(invalid(format!("malformed box name `{}`", name.escape_debug()))
        .hint("a name has at most 63 letters, digits, `_`, `.` and `-`, and starts with a letter or digit"))
}

/// As `hostname(7)`: labels of letters, digits and `-`, parted by dots; at most 64 in all, the kernel's own limit.
fn check_hostname(hostname: &str) -> Result<()> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    if hostname.len() <= 64 && hostname.split('.').all(label) {
        return Ok(());
    }
    Err(invalid(format!("malformed host name `{}`", hostname.escape_debug())))
}

fn check_env(entry: &str) -> Result<()> {
    let (name, value) = entry.split_once('=').ok_or_else(|| {
        invalid(format!("environment entry `{}` is not of the form `NAME=value`", entry.escape_debug()))
    })?;
    check_env_name(name)?;
    if value.contains('\0') {
        return Err(invalid(format!("the value of environment variable `{name}` contains a NUL byte")));
    }
    Ok(())
}

fn check_env_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err(invalid(format!("malformed name of an environment variable: `{}`", name.escape_debug())));
    }
    Ok(())
}

fn check_cwd(cwd: Option<&str>) -> Result<()> {
    match cwd {
        Some(cwd) if !cwd.starts_with('/') || cwd.contains('\0') => {
            Err(invalid(format!("working directory `{}` is not an absolute path", cwd.escape_debug())))
        }
        _ => Ok(()),
    }
}

fn check_user(user: Option<&str>) -> Result<()> {
    let Some(user) = user else { return Ok(()) };
    let part = |part: &str| !part.is_empty() && !part.contains([':', '\0', '\n']);
    let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    if part(name) && group.is_none_or(part) {
        return Ok(());
    }
    Err(invalid(format!("malformed user `{}`; write it as `user` or `user:group`", user.escape_debug())))
}

#[cfg(test)]
mod tests {
    use boxlite_types::Resources;

    use super::*;

    fn spec() -> BoxSpec {
        BoxSpec { image: "registry.test/busybox:1".into(), ..BoxSpec::default() }
    }

    fn check(change: impl FnOnce(&mut BoxSpec), expect: Option<&str>) {
        let mut spec = spec();
        change(&mut spec);
        match (check_spec(&spec), expect) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => {
                assert_eq!(error.code(), ErrorCode::InvalidArgument);
                assert!(error.message().contains(part), "{error} does not mention {part}");
            }
            (result, expect) => panic!("{spec:?}: {result:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn a_specification_is_refused_by_the_field_that_is_wrong() {
        check(|_| {}, None);
        check(|spec| spec.image = " ".into(), Some("image reference"));
        for good in ["a", "0", "web-1", "A_b.c", &"n".repeat(63)] {
            check(|spec| spec.name = Some(good.into()), None);
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", "a\n", &"n".repeat(64)] {
            check(|spec| spec.name = Some(bad.into()), Some("malformed box name"));
        }
        for (cpus, good) in [(0, false), (1, true), (16, true), (17, false)] {
            check(|spec| spec.resources.cpus = cpus, (!good).then_some("cpus of"));
        }
        let memory = |memory_mib| Resources { memory_mib, ..Resources::default() };
        for (size, good) in [(127, false), (128, true), (65_536, true), (65_537, false)] {
            check(|spec| spec.resources = memory(size), (!good).then_some("memory of"));
        }
        check(|spec| spec.resources.disk_mib = 63, Some("disk of 63 MiB"));
        check(|spec| spec.resources.disk_mib = 61_441, Some("64 to 61440 MiB"));
    }

    #[test]
    fn environment_labels_and_the_rest_are_checked() {
        for (entry, part) in
            [("A=1", None), ("A=", None), ("A", Some("NAME=value")), ("=1", Some("malformed name"))]
        {
            check(|spec| spec.env = vec![entry.into()], part);
        }
        check(|spec| spec.env = vec!["A=\0".into()], Some("NUL"));
        check(|spec| spec.labels = vec!["=x".into()], Some("label"));
        check(|spec| spec.cwd = Some("tmp".into()), Some("absolute"));
        for (user, part) in [
            ("0", None),
            ("app:app", None),
            ("", Some("user")),
            ("a:", Some("user")),
            ("a:b:c", Some("user")),
        ] {
            check(|spec| spec.user = Some(user.into()), part);
        }
        for (host, part) in
            [("web.test", None), ("-a", Some("host")), ("a..b", Some("host")), ("a_b", Some("host"))]
        {
            check(|spec| spec.hostname = Some(host.into()), part);
        }
        check(
            |spec| spec.main = Some(ExecSpec { argv: vec!["a\0".into()], ..ExecSpec::default() }),
            Some("NUL"),
        );
    }
}
