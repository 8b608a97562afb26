# Every command that this project needs; `make help` lists them. CI runs `make ci` and nothing else.
.PHONY: help build static test test-long test-gen test-deploy demo bpf rejected bench ci check deps install \
        test-sound test-kernels test-oracle shell fuzz kernels-doc kernels-selftest kernels-clean

# Where the build and what it writes go, as cargo has it.
OUT := $(abspath $(or $(CARGO_TARGET_DIR),target))
TARGET := $(shell uname -m)-unknown-linux-gnu
STATIC := $(OUT)/$(TARGET)/release/rawbpf
CLANG ?= clang-19
# Where `make install` puts things.
TO = $(DESTDIR)$(or $(PREFIX),/usr/local)
# Paths in the objects do not depend on where they are built, so that building them again changes nothing.
BPF_CFLAGS := -g -O2 -mcpu=v3 -Wall -ffile-compilation-dir=.
# For whom: objects for another architecture are built by its lane of `make test-kernels`, into a folder there.
BPF_DIR ?= bpf
BPF_MACHINE ?= -target bpf -D__TARGET_ARCH_x86 -I/usr/include/$(shell uname -m)-linux-gnu

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

build: ## The rawbpf command, target/release/rawbpf
	cargo build --release --features cli,export

static: ## The rawbpf command as one static file that runs anywhere
	RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --features cli,export --target $(TARGET)
	@ls -l $(STATIC) | awk '{ printf "%s: %.1f MB\n", $$9, $$5 / 1000000 }'

install: static ## Install it, its man pages and completions to /usr/local (PREFIX=... for elsewhere)
	install -D -m 755 $(STATIC) $(TO)/bin/rawbpf
	mkdir -p $(TO)/share/man/man1 $(TO)/share/bash-completion/completions \
	    $(TO)/share/zsh/site-functions $(TO)/share/fish/vendor_completions.d
	$(STATIC) man $(TO)/share/man/man1
	$(STATIC) completions bash >$(TO)/share/bash-completion/completions/rawbpf
	$(STATIC) completions zsh >$(TO)/share/zsh/site-functions/_rawbpf
	$(STATIC) completions fish >$(TO)/share/fish/vendor_completions.d/rawbpf.fish

demo: ## The main job for real: a packet counter on a network of its own
	@tests/demo.sh

deps: ## What tests and `make bpf` need besides Rust: clang, llvm, bpftool ... (Debian packages)
	@tests/deps.sh

bpf: ## Build the objects in bpf/ again
	@for c in bpf/*.bpf.c; do echo "$(CLANG) $$c"; o=$${c#bpf/}; \
	    $(CLANG) $(BPF_MACHINE) $(BPF_CFLAGS) -c $$c -o $(BPF_DIR)/$${o%.bpf.c}.o || exit 1; done

rejected: ## Build the programs in bpf/rejected/ again, that the verifier refuses
	@for c in bpf/rejected/*.bpf.c; do echo "$(CLANG) $$c"; \
	    $(CLANG) $(BPF_MACHINE) $(BPF_CFLAGS) -c $$c -o $${c%.bpf.c}.o || exit 1; done
	@for s in bpf/rejected/*.s; do cargo run --quiet --features cli -- asm $$s || exit 1; done

test: deps ## Every test, on this machine's kernel; says in the end what did not run and why
	@rm -f $(OUT)/skips.tsv
	@mkdir -p $(OUT)
	@cargo build --all-features --examples
	@RAWBPF_LEDGER=$(OUT)/skips.tsv cargo test --all-features; status=$$?; \
	    tests/kernels/skips $(OUT)/skips.tsv; exit $$status

check: ## Format, lints, docs, licences, and that building bpf/ again changes nothing
	cargo fmt --check
	cargo clippy --all-features --all-targets -- -D warnings
	cargo clippy -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --all-features
	tests/licences.sh
	cargo package --allow-dirty --no-verify --list >/dev/null
	$(MAKE) bpf rejected
	git diff --exit-code --stat bpf/

bench: static ## Measure against bpftool and others, as ratios
	RAWBPF_BIN=$(STATIC) cargo bench --all-features
	tests/oracle/bench

test-gen: ## A program whose build.rs makes code of an object; run as root it loads it and prints "42 frames"
	cd tests/gen && CARGO_TARGET_DIR=$(OUT)/gen cargo run --quiet

test-deploy: static ## The static command in an empty root, with the mounts and capabilities of deploy/daemonset.yaml
	RAWBPF_STATIC=$(STATIC) cargo test --all-features --test it deploy::

test-sound: deps ## Memory: under AddressSanitizer, under valgrind, on 32 bit (PART='asan valgrind i686 wide long guest')
	@tests/sound/run $(PART)

ci: deps check test test-gen static test-deploy test-kernels ## What CI runs

test-kernels: ## The integration tests on real kernels (KERNEL=6.12, KERNEL=all, ARCH=s390x, TESTS=filter)
	@tests/kernels/run
test-oracle: ## Real projects' objects, loaded by libbpf and by rawbpf in guests (KERNEL=6.12, OBJECTS=, PROGRAM=)
	@tests/oracle/run
shell: ## A shell in a guest kernel: make shell KERNEL=6.12
	@tests/kernels/shell $(KERNEL)
test-long: ## The walks and failures of what stays at full length: 20,000 random steps, every system call with both errors
	MODEL_STEPS=20000 INJECT=all cargo test --all-features --test it -- live_model live_inject --nocapture
fuzz: ## Fuzz what reads bytes from outside, with libFuzzer (TARGET=elf, RUNS=10000000)
	@fuzz/run
kernels-doc: ## Write what the guests answered into docs/KERNELS.md
	@tests/kernels/doc
kernels-selftest: ## Does the guests' harness tell how a guest ended?
	@tests/kernels/selftest
kernels-clean: ## Drop the fetched kernels, so that the next run fetches the newest
	cd "$${RAWBPF_CACHE:-$$HOME/.cache/rawbpf}" && rm -rf apt kernels tools tools-*
