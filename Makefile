# Every command that this project needs; `make help` lists them. CI runs `make ci` and nothing else.
.PHONY: help build test ci test-kernels shell kernels-doc kernels-selftest kernels-clean
# Where the build and what it writes go, as cargo has it.
OUT := $(abspath $(or $(CARGO_TARGET_DIR),target))
help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18
build: ## The rawbpf binary, target/release/rawbpf
	cargo build --release --features cli
test: ## Every test, on this machine's kernel; says in the end what did not run and why
	@rm -f $(OUT)/skips.tsv
	@mkdir -p $(OUT)
	@RAWBPF_LEDGER=$(OUT)/skips.tsv cargo test --all-features; status=$$?; \
	    tests/kernels/skips $(OUT)/skips.tsv; exit $$status
test-kernels: ## The integration tests on real kernels (KERNEL=6.12, KERNEL=all, ARCH=s390x, TESTS=filter)
	@tests/kernels/run
shell: ## A shell in a guest kernel: make shell KERNEL=6.12
	@tests/kernels/shell $(KERNEL)
kernels-doc: ## Write what the guests answered into docs/KERNELS.md
	@tests/kernels/doc
kernels-selftest: ## Does the guests' harness tell how a guest ended?
	@tests/kernels/selftest
kernels-clean: ## Drop the fetched kernels, so that the next run fetches the newest
	cd "$${RAWBPF_CACHE:-$$HOME/.cache/rawbpf}" && rm -rf apt kernels tools tools-*
ci: test test-kernels ## What CI runs
