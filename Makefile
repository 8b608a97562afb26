# Every command that this project needs; `make help` lists them. CI runs `make ci` and nothing else.
.PHONY: help build test ci
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16
build: ## The rawbpf binary, target/release/rawbpf
	cargo build --release --features cli
test: ## Every test
	cargo test --all-features
ci: test ## What CI runs
