# Sourced: builds the static test binary, the static rawbpf and the static tools of examples/.
# shellcheck shell=bash

# build ARCH: sets $test and $rawbpf, the paths of the two, and builds the tools of examples/ beside rawbpf: those
# whose programs are in bpf/. Tests run them as processes.
build() {
    local lines
    lane "$1"
    lines=$(cargo_for "$1" test --locked --all-features --test it --no-run --message-format=json-render-diagnostics) ||
        die "the test binary does not build" "see the compiler's messages above"
    # cargo says where it has put each executable: one JSON object a line.
    test=$(executable test "$lines") rawbpf=$(executable bin "$lines")
    [ -n "$test" ] && [ -n "$rawbpf" ] ||
        die "cargo named no test binary or no rawbpf" "see [[test]] and [[bin]] in Cargo.toml"
    local tool tools=()
    for tool in "$repo"/examples/*.rs; do
        tool=$(basename "$tool" .rs)
        [ ! -f "$repo/bpf/$tool.o" ] || tools+=(--example "$tool")
    done
    # Their objects are of this machine's byte order.
    [ "$1" = s390x ] || [ ${#tools[@]} = 0 ] || cargo_for "$1" build --locked --all-features "${tools[@]}" ||
        die "the tools of examples/ do not build" "see the compiler's messages above"
}
executable() { sed -n "s/.*\"target\":{\"kind\":\[\"$1\"\].*\"executable\":\"\([^\"]*\)\".*/\1/p" <<< "$2" | tail -n 1; }

# cargo_for ARCH ARGS..: cargo for that architecture. A subshell: the settings are for this call alone.
cargo_for() (
    cd "$repo"
    arch=$1 linker=CARGO_TARGET_${rust_target^^}_LINKER
    shift
    # What is emulated runs thirty times slower, so a little optimising costs less than it saves; the checks for
    # overflow stay. Debug information would be stripped again.
    export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0
    # Static, as the guest has no libraries; the symbols stay in, for backtraces and for uprobes.
    export CARGO_BUILD_TARGET=$rust_target RUSTFLAGS='-C target-feature=+crt-static -C strip=debuginfo'
    if [ "$arch" = x86_64 ]; then
        cargo "$@"
    else
        # This machine's cargo with the fetched compiler and linker. In a target directory of its own: what one
        # compiler has built, another would build anew each time.
        export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$repo/target}/$arch
        export RUSTC=$lane_tools/usr/bin/rustc "${linker//-/_}=$lane_tools/usr/bin/$gnu-gcc"
        with_libs "$lane_tools" cargo "$@"
    fi
)
