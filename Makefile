# Two commands matter: `make demo` and `make test`. Both set up what is missing and are quick the second time.
SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help
ENV := . tools/env.sh

help: ## list these commands
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 26

setup: ## fetch what building needs: ROS 2, libtorch, MuJoCo, Python tools
	@tools/setup.sh

interfaces: setup ## build the ROS interfaces that plain cargo needs (see `tools/env.sh`)
	@tools/setup/interfaces.sh

build: interfaces ## build the nodes and the command line, optimised
	@$(ENV)
	"$$THINKVLA_PYTHON" tools/setup/progress.py cargo build --release --bins --features "$$THINKVLA_FEATURES"

demo: build ## run one task in closed loop on the simulated arm; report and picture in out/demo
	@$(ENV)
	"$$CARGO_TARGET_DIR/release/thinkvla" demo

reproduce-demo: build ## make a small policy from nothing as docs/learning.md says; goes on where it was interrupted
	@tools/reproduce_policy.sh

test: interfaces ## run every test: Rust, documentation, Python over ROS 2
	@tools/test.sh

fmt: ## format the Rust code
	@cargo fmt

lint: interfaces ## clippy with every feature, rustdoc, prose, shell scripts, formatting
	@$(ENV)
	shellcheck -x tools/*.sh tools/*/*.sh tests/reference/*.sh .ci/run
	tools/check/prose.py
	cargo clippy --all-targets --features torch,ros,sim -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --features torch,ros,sim
	cargo fmt --check

features: interfaces ## check each cargo feature alone, and the bare library
	@$(ENV)
	for feature in torch ros sim; do
	  echo "features: $$feature alone"
	  cargo clippy --all-targets --features "$$feature" -- -D warnings
	done
	echo "features: none"
	cargo clippy --all-targets -- -D warnings

clean: ## remove what was built (not what was fetched)
	@rm -rf build install log out
	cargo clean

.PHONY: help setup interfaces build demo reproduce-demo test fmt lint features clean
