# The way in for people. Everything here is one line; what is more than that lives in xtask/.
# One profile and one target directory for all of it, so that every crate is compiled once.

CARGO ?= cargo
.PHONY: setup demo build test test-rust test-languages lint gen check-gen bench soak dist

setup:        ## Install what the tests need and is missing, from the distribution's packages
	@xtask/setup.sh test

demo: build   ## Pull an image from a registry on loopback, boot a VM from it, run a command
	$(CARGO) run --release --package boxlite-cli --example demo

build:        ## Build the `boxlite` command (target/release/boxlite) and the library
	@xtask/setup.sh build
	$(CARGO) build --release --package boxlite-cli --bin boxlite

test: test-rust test-languages  ## Prove the product, in every language

test-rust: setup
	$(CARGO) test --release --workspace

test-languages: setup
	sdks/c/test.sh
	sdks/go/test.sh
	sdks/python/test.sh
	sdks/node/test.sh

lint: setup   ## Formatting and lints, warnings refused
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- --deny warnings

gen:          ## Write every generated file
	$(CARGO) xtask gen

check-gen:    ## Fail if a generated file is stale
	$(CARGO) xtask check-gen

bench:        ## Measure, side by side with peers, and hold the budgets of SPECIFICATION.md
	@xtask/setup.sh bench
	$(CARGO) build --release --package boxlite-cli --bin boxlite
	$(CARGO) bench --package boxlite-benches
	sdks/c/bench.sh
	sdks/go/bench.sh
	sdks/python/benches/run.sh
	sdks/node/benches/run.sh

soak: export BOXLITE_SOAK_ROUNDS = 1000
soak: setup   ## The race tests with many more rounds, in every language
	$(CARGO) test --release --package boxlite --test suite -- shutdown
	$(CARGO) test --release --package boxlite-ffi --test suite -- races
	$(MAKE) test-languages

dist: setup   ## Leave what is shipped under dist/: made, checked, and installed in a clean place
	@xtask/dist.sh
