# Sourced by the scripts here, from sdks/python: where everything is, a virtual environment, the wheel.

target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")
export CARGO_TARGET_DIR=$target
export BOXLITE_TEST_HOME=${BOXLITE_TEST_HOME:-$target/test-home}
export BOXLITE_TEST_REGISTRY=$target/release/boxlite-testkit-registry

# environment DIRECTORY PACKAGE...: makes the environment unless it is there, installs what is missing, and enters it.
environment() {
    local directory=$1
    shift
    [ -x "$directory/bin/python" ] || python3 -m venv "$directory"
    VIRTUAL_ENV=$directory
    PATH=$directory/bin:$PATH
    export VIRTUAL_ENV PATH
    [ $# = 0 ] || python -m pip install --quiet --disable-pip-version-check "$@"
}

# wheel DIRECTORY: builds the wheel, the only one there afterwards.
wheel() {
    # maturin tells cargo which interpreter it has found. Build scripts that look at that run again whenever it comes or goes,
    # and a dozen crates are compiled anew at each turn from plain cargo to here and back. All see the same interpreter anyway.
    mkdir -p "$target/python/cargo"
    printf '#!/bin/sh\nexec env -u PYO3_ENVIRONMENT_SIGNATURE -u PYO3_PYTHON -u VIRTUAL_ENV "%s" "$@"\n' "$(command -v cargo)" \
        >"$target/python/cargo/cargo"
    chmod +x "$target/python/cargo/cargo"
    rm -f "$1"/boxlite-*.whl
    PATH=$target/python/cargo:$PATH maturin build --release --locked --out "$1" >&2
}

# conformance: builds the registry that serves images to the tests, and the driver of the scenarios.
conformance() {
    cargo build --release --quiet --package boxlite-conformance
    mkdir -p "$BOXLITE_TEST_HOME"
}
