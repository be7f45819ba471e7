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

# wheel DIRECTORY: builds the wheel, the only one there afterwards. The dependencies are those that cargo has built already:
# same target directory, same profile.
wheel() {
    rm -f "$1"/boxlite-*.whl
    maturin build --release --locked --quiet --out "$1"
}

# registry: builds the program that serves images to the tests.
registry() {
    cargo build --release --quiet --package boxlite-conformance --bin boxlite-testkit-registry
}
