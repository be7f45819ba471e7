//! `boxlite inspect`.

use boxlite::{Error, ErrorCode};
use clap::Args;

use super::targets::Tally;
use crate::arguments::Format;
use crate::errors::Failure;
use crate::session::Session;

/// Prints everything known of boxes, as JSON
#[derive(Debug, Args)]
pub struct Arguments {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "BOX", required_unless_present = "latest", conflicts_with = "latest")]
    pub boxes: Vec<String>,
    /// The box created last
    #[arg(short, long)]
    pub latest: bool,
}

/// Prints a JSON list with one object for each box; `--format` makes no difference.
pub async fn execute(arguments: Arguments, session: &mut Session) -> Result<u8, Failure> {
    let mut names = arguments.boxes;
    if arguments.latest {
        let newest = session.runtime.list().await?.into_iter().next();
        let newest = newest.ok_or_else(|| {
            Error::new(ErrorCode::NotFound, "this home has no boxes").hint("`boxlite create IMAGE` makes one")
        })?;
        names.push(newest.id.to_string());
    }
    let mut tally = Tally::new(Format::Json);
    for name in names {
        let runtime = &session.runtime;
        let info = async { runtime.get(&name).await?.info().await }.await.map_err(Failure::from);
        tally.enter(info, |_| String::new())?;
    }
    tally.finish()
}
