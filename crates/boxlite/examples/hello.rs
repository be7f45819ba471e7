//! Pulls an image, starts a box from it, runs a command there, prints what it says.
//!
//! ```text
//! cargo run -p boxlite --example hello -- <image> [command...]
//! ```

use std::time::Duration;

use boxlite::{BoxSpec, Error, ErrorCode, ExecSpec, Options, PullOptions, Runtime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let image = arguments
        .next()
        .ok_or_else(|| Error::new(ErrorCode::InvalidArgument, "name an image, for example `busybox`"))?;
    let mut argv: Vec<String> = arguments.collect();
    if argv.is_empty() {
        argv = ["echo", "hello from a box"].map(str::to_owned).into();
    }

    let runtime = Runtime::open(Options::default()).await?;
    let pulled = runtime.images().pull(&image, PullOptions::default()).await?;
    println!("{} is {}", pulled.reference, pulled.id);

    let spec = BoxSpec { image: pulled.reference, auto_remove: true, ..BoxSpec::default() };
    let machine = runtime.create(spec).await?;
    machine.start().await?;
    let output = machine.exec(ExecSpec { argv, ..ExecSpec::default() }).await?.output().await?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));

    // Stops the box, which then removes itself, and lets go of the home.
    runtime.shutdown(Duration::from_secs(10)).await
}
