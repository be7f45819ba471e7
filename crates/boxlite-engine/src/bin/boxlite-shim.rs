//! The supervisor of one box: see `boxlite_engine::shim`.

fn main() -> std::process::ExitCode {
    boxlite_engine::shim::main()
}
