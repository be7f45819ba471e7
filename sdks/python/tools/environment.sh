# Sourced by the scripts here: a virtual environment, and the wheel. The caller has set CARGO_TARGET_DIR.

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
