//! Converts uncompressed layer tars, lowest first, and writes the merged image as one EROFS file, with the time of each
//! step: `layers-to-erofs OUT.erofs LAYER.tar...`. The layers stay in `OUT.erofs.layers`.

use std::error::Error;
use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use boxlite_rootfs::{LayerLimits, LayerWriter, export, merge};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: layers-to-erofs OUT.erofs LAYER.tar...")?;
    let home = PathBuf::from(format!("{}.layers", out.display()));
    let mut layers = Vec::new();
    let mut buffer = vec![0; 256 << 10];
    for (number, tar) in arguments.enumerate() {
        let directory = home.join(number.to_string());
        std::fs::create_dir_all(&directory)?;
        let (mut file, mut bytes) = (std::fs::File::open(&tar)?, 0);
        let started = Instant::now();
        let mut writer = LayerWriter::create(&directory, &LayerLimits::default())?;
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                break;
            }
            bytes += count;
            writer.write(&buffer[..count])?;
        }
        let streamed = started.elapsed();
        let summary = writer.finish()?;
        println!(
            "{}: {} entries, {bytes} bytes streamed in {streamed:.1?} ({:.0} MB/s), durable after {:.1?}",
            tar.display(),
            summary.entries,
            bytes as f64 / 1e6 / streamed.as_secs_f64(),
            started.elapsed(),
        );
        layers.push(directory);
    }
    let metadata = home.join("merged");
    let (started, processor) = (Instant::now(), processor_time());
    let merged = merge(&layers, &metadata)?;
    let processor = processor_time().saturating_sub(processor);
    println!("merged in {:.1?}, {processor:.1?} of it on the processor: {merged:?}", started.elapsed());
    export(&metadata, &layers, &out, || false)?;
    Ok(())
}

/// What this thread has used of a processor, which on a busy machine says more than the clock.
fn processor_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = statistics.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}
