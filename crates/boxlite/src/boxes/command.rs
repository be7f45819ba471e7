//! The command that really runs, merged from the image's configuration, the box's specification and the call.
//!
//! The rules are docker's: a main command without a program of its own runs the image's entrypoint and command; one with
//! arguments has them appended to the entrypoint; an exec never sees the entrypoint. Later layers of the environment win
//! by name.

use boxlite_protocol::Exec;
use boxlite_types::{BoxSpec, Error, ErrorCode, ExecSpec, ImageConfig, Result};

use super::validate::check_exec_details;

/// Where programs are looked for if neither image nor box says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a box gives every command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    entrypoint: Vec<String>,
    command: Vec<String>,
    env: Vec<(String, String)>,
    cwd: String,
    user: String,
}

impl Defaults {
    /// Merges what the image and the box say.
    pub fn new(image: &ImageConfig, spec: &BoxSpec) -> Self {
        let mut env = vec![("PATH".to_owned(), DEFAULT_PATH.to_owned())];
        for entry in image.env.iter().chain(&spec.env) {
            // Docker keeps an entry without `=` in an image as a name without a value; nothing can be set to that.
            if let Some((name, value)) = entry.split_once('=') {
                set(&mut env, name, value);
            }
        }
        let own = |own: &Option<String>, image: &str| own.clone().unwrap_or_else(|| image.to_owned());
        let cwd = own(&spec.cwd, &image.working_dir);
        let (entrypoint, command) = match &spec.entrypoint {
            Some(entrypoint) => (entrypoint.clone(), Vec::new()),
            None => (image.entrypoint.clone(), image.command.clone()),
        };
        Defaults {
            entrypoint,
            command,
            env,
            cwd: if cwd.starts_with('/') { cwd } else { format!("/{cwd}") },
            user: own(&spec.user, &image.user),
        }
    }

    /// Returns what to run for an exec.
    ///
    /// # Errors
    /// `InvalidArgument` if there is no program, or something about the command is malformed.
    pub fn exec(&self, spec: &ExecSpec) -> Result<Exec> {
        self.resolve(spec, spec.argv.clone(), false)
    }

    /// Returns what to run as the main command.
    ///
    /// # Errors
    /// As [`Defaults::exec`].
    pub fn main(&self, spec: &ExecSpec) -> Result<Exec> {
        let arguments = if spec.argv.is_empty() { &self.command } else { &spec.argv };
        self.resolve(spec, self.entrypoint.iter().chain(arguments).cloned().collect(), true)
    }

    fn resolve(&self, spec: &ExecSpec, argv: Vec<String>, main: bool) -> Result<Exec> {
        check_exec_details(spec)?;
        if argv.first().is_none_or(|program| program.is_empty()) {
            let why =
                if main { "neither the image nor the box names a program" } else { "no program is named" };
            return Err(Error::new(ErrorCode::InvalidArgument, format!("there is nothing to run: {why}")));
        }
        let mut env = self.env.clone();
        if spec.tty.is_some() && !env.iter().any(|(name, _)| name == "TERM") {
            env.push(("TERM".into(), "xterm".into()));
        }
        spec.env.iter().for_each(|(name, value)| set(&mut env, name, value));
        Ok(Exec {
            argv: argv.into_iter().map(String::into_bytes).collect(),
            env: env.into_iter().map(|(name, value)| format!("{name}={value}").into_bytes()).collect(),
            cwd: spec.cwd.as_ref().unwrap_or(&self.cwd).clone().into_bytes(),
            user: spec.user.as_ref().unwrap_or(&self.user).clone(),
            tty: spec.tty,
            stdin: spec.stdin,
            timeout_ms: spec.timeout_ms,
            main,
            detach: spec.detach,
        })
    }
}

fn set(env: &mut Vec<(String, String)>, name: &str, value: &str) {
    match env.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_owned(),
        None => env.push((name.to_owned(), value.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn image(entrypoint: &str, command: &str) -> ImageConfig {
        ImageConfig {
            entrypoint: words(entrypoint),
            command: words(command),
            env: words("PATH=/image/bin A=image B=image"),
            working_dir: "/srv".into(),
            user: "app".into(),
            ..ImageConfig::default()
        }
    }

    fn text(bytes: &[Vec<u8>]) -> String {
        bytes.iter().map(|part| String::from_utf8_lossy(part)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_main_command_follows_docker_and_an_exec_never_sees_the_entrypoint() {
        let check = |entrypoint, command, argv, main: &str, exec: &str| {
            let defaults = Defaults::new(&image(entrypoint, command), &BoxSpec::default());
            let spec = ExecSpec { argv: words(argv), ..ExecSpec::default() };
            let or_code = |result: Result<Exec>| match result {
                Ok(exec) => text(&exec.argv),
                Err(error) => error.code().to_string(),
            };
            assert_eq!(or_code(defaults.main(&spec)), main);
            assert_eq!(or_code(defaults.exec(&spec)), exec);
        };
        check("", "", "ls -l", "ls -l", "ls -l");
        check("", "sh -c x", "", "sh -c x", "InvalidArgument");
        check("", "sh", "ls", "ls", "ls");
        check("tini --", "sh", "", "tini -- sh", "InvalidArgument");
        check("tini --", "sh", "ls", "tini -- ls", "ls");
        check("tini", "", "", "tini", "InvalidArgument");
        check("", "", "", "InvalidArgument", "InvalidArgument");
    }

    #[test]
    fn an_entrypoint_of_the_box_replaces_the_images_and_its_command() {
        let check = |entrypoint: &str, argv: &str, main: &str| {
            let spec = BoxSpec { entrypoint: Some(words(entrypoint)), ..BoxSpec::default() };
            let defaults = Defaults::new(&image("tini --", "sh"), &spec);
            let exec = defaults.main(&ExecSpec { argv: words(argv), ..ExecSpec::default() });
            assert_eq!(exec.map_or_else(|error| error.code().to_string(), |exec| text(&exec.argv)), main);
        };
        check("other", "", "other");
        check("other -x", "ls", "other -x ls");
        check("", "ls", "ls");
        check("", "", "InvalidArgument");
    }

    #[test]
    fn environment_directory_and_user_are_taken_from_whoever_is_nearest() {
        let spec = BoxSpec { env: words("B=box C=box"), cwd: Some("/box".into()), ..BoxSpec::default() };
        let defaults = Defaults::new(&image("", ""), &spec);
        let plain = defaults.exec(&ExecSpec { argv: words("x"), ..ExecSpec::default() }).unwrap();
        assert_eq!(text(&plain.env), "PATH=/image/bin A=image B=box C=box");
        assert_eq!((plain.cwd.as_slice(), plain.user.as_str()), (&b"/box"[..], "app"));
        let near = ExecSpec {
            argv: words("x"),
            env: [("C".to_owned(), "exec".to_owned())].into(),
            cwd: Some("/exec".into()),
            user: Some("0:0".into()),
            ..ExecSpec::default()
        };
        let near = defaults.exec(&near).unwrap();
        assert_eq!(text(&near.env), "PATH=/image/bin A=image B=box C=exec");
        assert_eq!((near.cwd.as_slice(), near.user.as_str()), (&b"/exec"[..], "0:0"));
    }

    #[test]
    fn an_image_that_says_nothing_still_gives_a_path_and_a_directory() {
        let defaults = Defaults::new(&ImageConfig::default(), &BoxSpec::default());
        let exec = defaults.exec(&ExecSpec { argv: words("x"), ..ExecSpec::default() }).unwrap();
        assert_eq!(text(&exec.env), format!("PATH={DEFAULT_PATH}"));
        assert_eq!(exec.cwd, b"/");
    }
}
