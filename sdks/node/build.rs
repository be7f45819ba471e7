//! Links the module as Node wants its addons.

fn main() {
    napi_build::setup();
}
