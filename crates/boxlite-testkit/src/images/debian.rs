//! A real system: Debian's minimal base with Python, as installed, and the packages it consists of.
//!
//! It comes from the mirror the host's own apt uses, through `debootstrap`, which takes root, the network and a minute
//! or two. Therefore it is built once into a directory that later runs use again; several processes may ask at once. The
//! bytes are not the same everywhere: mirrors move on, and installing writes times.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::image::Image;
use super::layer::{Compression, Layer};

/// What is in the cache; another number makes it anew.
const VERSION: u32 = 1;

/// The system in its cache.
#[derive(Clone, Debug)]
pub struct Debian {
    directory: PathBuf,
}

impl Debian {
    /// Returns the system kept in `cache`, building it if it is not there.
    ///
    /// # Errors
    /// `PermissionDenied` for an ordinary user who would have to build it; what went wrong otherwise.
    pub fn in_cache(cache: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(cache)?;
        let lock = std::fs::File::create(cache.join("debian.lock"))?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)?;
        let directory = cache.join(format!("debian-{VERSION}"));
        if !directory.exists() {
            if !rustix::process::geteuid().is_root() {
                let why = "building a Debian system takes root";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
            let building = cache.join("debian.building");
            if building.exists() {
                std::fs::remove_dir_all(&building)?;
            }
            build(&building)?;
            std::fs::rename(&building, &directory)?;
        }
        Ok(Debian { directory })
    }

    /// Returns the tar of the whole installed system, uncompressed: some 8,000 entries and 220 MB.
    pub fn system_tar(&self) -> PathBuf {
        self.directory.join("system.tar")
    }

    /// Returns the tars of its packages as dpkg unpacks them, uncompressed: more than a hundred, of bytes to tens of
    /// megabytes. Put on top of each other in this order they are a tree too, though nothing in it is configured.
    ///
    /// # Errors
    /// What the file system says.
    pub fn package_tars(&self) -> io::Result<Vec<PathBuf>> {
        let mut tars = std::fs::read_dir(self.directory.join("packages"))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()?;
        tars.sort();
        Ok(tars)
    }

    /// Returns the installed system as an image of one layer, whose command is a shell.
    ///
    /// # Errors
    /// What the file system says.
    pub fn image(&self, compression: Compression) -> io::Result<Image> {
        Ok(Image::new([Layer::from_tar(&std::fs::read(self.system_tar())?, compression)]))
    }
}

fn build(directory: &Path) -> io::Result<()> {
    let (tree, packages) = (directory.join("tree"), directory.join("packages"));
    std::fs::create_dir_all(&packages)?;
    let (mirror, suite) = mirror()?;
    run(Command::new("debootstrap")
        .args(["--variant=minbase", "--include=python3", &suite])
        .arg(&tree)
        .arg(mirror))?;

    let archives = tree.join("var/cache/apt/archives");
    for archive in std::fs::read_dir(&archives)? {
        let archive = archive?.path();
        let Some(name) = archive.file_name().and_then(|name| name.to_str()) else { continue };
        if let Some(name) = name.strip_suffix(".deb") {
            let tar = std::fs::File::create(packages.join(format!("{name}.tar")))?;
            run(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&archive).stdout(tar))?;
            std::fs::remove_file(&archive)?;
        }
    }
    run(Command::new("tar")
        .args(["--format=posix", "--xattrs", "--xattrs-include=*", "--numeric-owner", "--sort=name"])
        .arg("--create")
        .arg("--file")
        .arg(directory.join("system.tar"))
        .arg("--directory")
        .arg(&tree)
        .arg("."))?;
    std::fs::remove_dir_all(&tree)
}

/// Returns mirror and suite of the host's apt: the first that is no suite of updates.
fn mirror() -> io::Result<(String, String)> {
    let targets = run(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(CODENAME)",
        "Created-By: Packages",
        "Label: Debian",
    ]))?;
    String::from_utf8_lossy(&targets.stdout)
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, suite)| !suite.contains('-'))
        .map(|(mirror, suite)| (mirror.to_owned(), suite.to_owned()))
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, "apt knows no Debian mirror; `apt-get update` may help")
        })
}

fn run(command: &mut Command) -> io::Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(io::Error::other(format!("{name} failed ({}): {last}", output.status)))
}
