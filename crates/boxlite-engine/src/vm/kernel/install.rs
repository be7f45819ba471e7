//! Bringing a kernel into a home.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use boxlite_types::{Context, Error, ErrorCode, Home, Result};

use super::modules::{ModuleSet, REQUIRED, USUAL_DEPENDENCIES, module_name};
use super::{DESCRIPTION_FILE, Kernel, apt, boot_image, deb, read};
use crate::vm::durable::{Cancel, FileLock, Workshop};

/// Longest single file taken out of a package, in bytes. Boot images are some 15 MiB.
const MAX_FILE_BYTES: u64 = 512 << 20;

/// Longest chain of modules depending on modules, beyond those that are asked for from the start.
const MAX_PASSES: u32 = 8;

/// Where a kernel comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KernelSource {
    /// The distribution's package of the kernel for virtual machines, fetched with its own package client.
    Distribution,
    /// A file: a Debian package (`.deb`), a boot image (`bzImage`, `vmlinuz`) or an ELF kernel (`vmlinux`).
    File {
        /// The file.
        path: PathBuf,
        /// Directory with the modules of a kernel that is not a package; `/lib/modules/<release>` if not named.
        modules: Option<PathBuf>,
    },
}

/// Installs a kernel into a home and returns it; one of the same release is replaced. Blocks, for seconds.
///
/// # Errors
/// `Unsupported` if the host has no package client that could help, or the kernel lacks what a machine needs; `Network` if
/// the package cannot be fetched; `InvalidArgument` if a file is no kernel; `Storage`, `NoSpace`, `Cancelled`.
pub fn install(home: &Home, source: &KernelSource, cancel: &Cancel) -> Result<Kernel> {
    let root = home.kernels();
    let _lock = FileLock::acquire(&root.join(".lock"), cancel)?;
    install_locked(&root, source, cancel)
}

/// Returns the kernel a home uses, installing the distribution's if it has none; two who ask at once fetch it once.
///
/// # Errors
/// As [`install`].
pub fn ensure(home: &Home, release: Option<&str>, cancel: &Cancel) -> Result<Kernel> {
    if let Some(kernel) = super::find(home, release)? {
        return Ok(kernel);
    }
    let root = home.kernels();
    let _lock = FileLock::acquire(&root.join(".lock"), cancel)?;
    match super::find(home, release)? {
        Some(kernel) => Ok(kernel),
        None => install_locked(&root, &KernelSource::Distribution, cancel),
    }
}

fn install_locked(root: &Path, source: &KernelSource, cancel: &Cancel) -> Result<Kernel> {
    let workshop = Workshop::new(root)?;
    let (pieces, origin) = match source {
        KernelSource::Distribution => {
            let package = apt::fetch_kernel_package(&workshop.path().join("package"), cancel)?;
            let origin = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
            (from_package(&package, cancel)?, origin)
        }
        KernelSource::File { path, modules } => {
            let pieces = if is_package(path)? {
                from_package(path, cancel)?
            } else {
                from_files(path, modules.as_deref(), cancel)?
            };
            (pieces, path.display().to_string())
        }
    };
    let _ = fs::remove_dir_all(workshop.path().join("package"));
    let kernel = write(&workshop, pieces, origin)?;
    let destination = root.join(&kernel.release);
    workshop.publish(&destination)?;
    read(&destination)
        .ok_or_else(|| Error::new(ErrorCode::Storage, "an installed kernel cannot be read back"))
        .map_err(|error| error.with(Context::Path, destination.display().to_string()))
}

/// A kernel taken apart.
struct Pieces {
    vmlinux: Vec<u8>,
    release: String,
    modules: ModuleSet,
}

fn write(workshop: &Workshop, pieces: Pieces, origin: String) -> Result<Kernel> {
    let put = |path: PathBuf, content: &[u8]| {
        fs::write(&path, content).map_err(|source| Error::io("write", &path, source))
    };
    let mut kernel = Kernel {
        release: pieces.release,
        modules: Vec::new(),
        origin,
        installed_at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        size_bytes: pieces.vmlinux.len() as u64,
        directory: PathBuf::new(),
    };
    let directory = workshop.path().join("modules");
    fs::create_dir(&directory).map_err(|source| Error::io("create", &directory, source))?;
    for (name, module) in pieces.modules.in_load_order()? {
        put(directory.join(format!("{name}.ko")), module)?;
        kernel.modules.push(name.to_owned());
        kernel.size_bytes += module.len() as u64;
    }
    put(workshop.path().join("vmlinux"), &pieces.vmlinux)?;
    let description = serde_json::to_vec_pretty(&kernel).expect("plain data becomes JSON");
    put(workshop.path().join(DESCRIPTION_FILE), &description)?;
    Ok(kernel)
}

fn is_package(path: &Path) -> Result<bool> {
    let mut magic = Vec::new();
    File::open(path)
        .and_then(|file| file.take(deb::MAGIC.len() as u64).read_to_end(&mut magic))
        .map_err(|source| Error::io("read", path, source))?;
    Ok(magic == deb::MAGIC)
}

/// Takes kernel and modules out of a package, in one pass if no module depends on an unusual one.
fn from_package(package: &Path, cancel: &Cancel) -> Result<Pieces> {
    let mut wanted: Vec<String> =
        REQUIRED.iter().chain(&USUAL_DEPENDENCIES).map(|name| (*name).to_owned()).collect();
    let mut modules = ModuleSet::default();
    let mut image = None;
    for _ in 0..MAX_PASSES {
        let file = File::open(package).map_err(|source| Error::io("open", package, source))?;
        let visited = deb::for_each_file(io::BufReader::with_capacity(1 << 20, file), |path, content| {
            cancel.check().map_err(io::Error::other)?;
            let text = path.to_string_lossy();
            if text.starts_with("boot/vmlinu") && image.is_none() {
                image = Some(read_file(content)?);
            } else if text.ends_with("/modules.builtin") {
                modules.insert_builtin(&String::from_utf8_lossy(&read_file(content)?));
            } else if let Some((name, compression)) = module_name(&text)
                && wanted.contains(&name)
            {
                modules.insert(&name, decompress(read_file(content)?, compression)?);
            }
            Ok(())
        });
        visited.map_err(|source| {
            cancel.check().err().unwrap_or_else(|| {
                Error::new(
                    ErrorCode::InvalidArgument,
                    format!("cannot unpack `{}`: {source}", package.display()),
                )
                .with(Context::Path, package.display().to_string())
            })
        })?;
        wanted = modules.missing().into_iter().collect();
        if wanted.is_empty() {
            break;
        }
    }
    let image = image.ok_or_else(|| {
        Error::new(ErrorCode::InvalidArgument, format!("package `{}` holds no kernel", package.display()))
            .with(Context::Path, package.display().to_string())
            .hint("name the package with the image itself, such as `linux-image-<release>`, not one that depends on it")
    })?;
    let (vmlinux, release) = kernel_of(image, package)?;
    Ok(Pieces { vmlinux, release, modules })
}

/// Takes a kernel from a file and its modules from a directory.
fn from_files(path: &Path, directory: Option<&Path>, cancel: &Cancel) -> Result<Pieces> {
    let image = fs::read(path).map_err(|source| Error::io("read", path, source))?;
    let (vmlinux, release) = kernel_of(image, path)?;
    let directory = directory.map_or_else(|| Path::new("/lib/modules").join(&release), Path::to_owned);
    let mut modules = ModuleSet::default();
    if let Ok(list) = fs::read_to_string(directory.join("modules.builtin")) {
        modules.insert_builtin(&list);
    }
    let mut files = std::collections::BTreeMap::new();
    let mut waiting = vec![directory];
    while let Some(directory) = waiting.pop() {
        cancel.check()?;
        // A kernel with everything built in has no directory of modules.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if let Some((name, compression)) = module_name(&entry.file_name().to_string_lossy()) {
                files.entry(name).or_insert((entry.path(), compression.to_owned()));
            }
        }
    }
    loop {
        let missing = modules.missing();
        let known: Vec<_> = missing.iter().filter_map(|name| files.remove_entry(name)).collect();
        if known.is_empty() {
            return Ok(Pieces { vmlinux, release, modules });
        }
        for (name, (path, compression)) in known {
            let content = fs::read(&path).and_then(|content| decompress(content, &compression));
            modules.insert(&name, content.map_err(|source| Error::io("read", &path, source))?);
        }
    }
}

fn kernel_of(image: Vec<u8>, path: &Path) -> Result<(Vec<u8>, String)> {
    let with_path = |error: Error| error.with(Context::Path, path.display().to_string());
    let vmlinux = boot_image::uncompressed_kernel(image).map_err(with_path)?;
    let release = boot_image::release(&vmlinux).ok_or_else(|| {
        with_path(Error::new(
            ErrorCode::InvalidArgument,
            "the kernel cannot be used: it does not say its release",
        ))
    })?;
    Ok((vmlinux, release))
}

fn read_file(content: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decompresses a module by the suffix of its name.
fn decompress(content: Vec<u8>, compression: &str) -> io::Result<Vec<u8>> {
    match compression {
        ".xz" => read_file(&mut liblzma::read::XzDecoder::new(&content[..])),
        ".gz" => read_file(&mut flate2::read::GzDecoder::new(&content[..])),
        ".zst" => read_file(&mut zstd::stream::read::Decoder::new(&content[..])?),
        _ => Ok(content),
    }
}
