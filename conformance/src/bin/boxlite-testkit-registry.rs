//! `boxlite-testkit-registry`: an OCI registry on loopback that lies on command, for the tests of every language.

use anyhow::Result;
use clap::Parser;

/// Serves images from memory on a free port of 127.0.0.1, and misbehaves on command
///
/// The first line on stdout is `{"host":"127.0.0.1:PORT","url":...}`. Each line on stdin is a JSON object with an `id` and
/// an `op`; each gets one line `{"id":...,"ok":...}` or `{"id":...,"error":"..."}`. The program ends when stdin does.
///
///   {"id":1,"op":"push","name":"app:1","image":{"layers":[{"files":{"etc/motd":"hello\n"}}]}}
///   {"id":2,"op":"push","name":"busybox:1","image":{"base":"busybox"}}
///   {"id":3,"op":"rule","rule":{"on":"blobs","faults":[{"hold_after":[0,"g"]}]}}
///   {"id":4,"op":"gate_reached","gate":"g","count":100}
///   {"id":5,"op":"gate_open","gate":"g"}
///   {"id":6,"op":"requests","target":{"manifest":"1"}}
///
/// Also `heal`, `remove_blob`, `require`, `forget_requests`, `gate_abandoned`: see conformance/REGISTRY.md.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment)]
struct Arguments {}

#[tokio::main]
async fn main() -> Result<()> {
    Arguments::parse();
    let input = tokio::io::BufReader::new(tokio::io::stdin());
    boxlite_conformance::registry::program::serve(input, std::io::stdout()).await?;
    // Reading stdin occupies a thread that does not end by itself.
    std::process::exit(0)
}
