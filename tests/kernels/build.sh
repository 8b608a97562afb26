# Sourced: builds the static test binary and the static rawbpf.
# shellcheck shell=bash

# build ARCH: sets $test and $rawbpf, the paths of the two.
build() {
    local target lines
    target=x86_64-unknown-linux-gnu
    # Static, as the guest has no libraries; the symbols stay in, for backtraces and for uprobes.
    lines=$(cd "$repo" && RUSTFLAGS='-C target-feature=+crt-static -C strip=debuginfo' \
        cargo test --locked --all-features --test it --no-run --target "$target" \
        --message-format=json-render-diagnostics) ||
        die "the test binary does not build" "see the compiler's messages above"
    # cargo says where it has put each executable: one JSON object a line.
    test=$(executable test "$lines") rawbpf=$(executable bin "$lines")
    [ -n "$test" ] && [ -n "$rawbpf" ] || die "cargo named no test binary or no rawbpf" "see [[test]] and [[bin]] in Cargo.toml"
}
executable() { sed -n "s/.*\"target\":{\"kind\":\[\"$1\"\].*\"executable\":\"\([^\"]*\)\".*/\1/p" <<< "$2" | tail -n 1; }
