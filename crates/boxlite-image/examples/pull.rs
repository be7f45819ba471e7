//! Pulls an image into a home and says how long it took: `pull <home> <reference>...`. For measuring, one store for all.

use std::time::Instant;

use boxlite_image::{ImageOptions, ImageStore, PullOptions};
use boxlite_state::Database;
use boxlite_types::{Home, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let home = Home::new(arguments.next().unwrap_or_else(|| "home".into()));
    let started = Instant::now();
    if let Err(error) = std::fs::create_dir_all(home.root()) {
        return Err(boxlite_types::Error::io("make", home.root(), error));
    }
    let database = Database::open(&home.database())?;
    let store = ImageStore::open(home, database, ImageOptions::default())?;
    println!("open {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    for reference in arguments {
        let started = Instant::now();
        let pulled = store.pull(&reference, PullOptions::default()).await?;
        let milliseconds = started.elapsed().as_secs_f64() * 1e3;
        println!("{reference}: {milliseconds:.1} ms, {} bytes fetched", pulled.bytes_fetched);
    }
    Ok(())
}
