//! `boxlite kernel`: the kernels boxes run on. The host's own is never touched.

use std::path::PathBuf;

use boxlite::KernelSource;
use clap::{Args, Subcommand};

use crate::arguments::Format;
use crate::errors::Failure;
use crate::output::size::human_bytes;
use crate::output::table::Table;
use crate::output::{print, print_json};
use crate::session::Session;

/// Works with the guest kernels of this home
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    pub action: Action,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum Action {
    /// Installs a guest kernel into the home; by itself, the first box does this
    Install {
        /// Debian package to take it from, instead of the one the distribution serves
        #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "modules"])]
        package: Option<PathBuf>,
        /// Kernel image to use, `bzImage` or `vmlinux`
        #[arg(long, value_name = "FILE", requires = "modules")]
        image: Option<PathBuf>,
        /// Directory of its modules, as `/lib/modules/<release>`
        #[arg(long, value_name = "DIRECTORY", requires = "image")]
        modules: Option<PathBuf>,
    },
    /// Lists the guest kernels
    Ls,
}

/// Carries the action out.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let kernels = session.runtime.kernels().clone();
    match arguments.action {
        Action::Install { package, image, modules } => {
            let source = match (package, image, modules) {
                (Some(package), ..) => KernelSource::Package(package),
                (None, Some(image), Some(modules)) => KernelSource::Files { image, modules },
                _ => KernelSource::Distribution,
            };
            let installed = session.telling(kernels.install(source)).await?;
            match session.format {
                Format::Json => print_json(&installed)?,
                Format::Table => print(format_args!("{}\n", installed.release))?,
            }
        }
        Action::Ls => {
            let installed = kernels.list().await?;
            if session.format == Format::Json {
                print_json(&installed)?;
            } else if session.quiet {
                print(installed.iter().map(|kernel| format!("{}\n", kernel.release)).collect::<String>())?;
            } else {
                let mut table = Table::new(&["RELEASE", "USE", "SIZE"]);
                for kernel in installed {
                    let used = if kernel.current { "new boxes" } else { "-" };
                    table.row([kernel.release, used.to_owned(), human_bytes(kernel.size_bytes)]);
                }
                print(table)?;
            }
        }
    }
    Ok(0)
}
