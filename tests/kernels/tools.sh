# Sourced: the programs that build and run a guest and those that go into it, unpacked under the cache.
# shellcheck shell=bash
#
# QEMU 7.2 (Debian 12) breaks guests now and then: its cmpxchg16b leaves garbage in the flags register.
# Version 10 stands in the backports, so that is what is fetched, whatever this machine has installed.

# get_tools ARCH: fetches what is not in the cache.
get_tools() {
    lane "$1"
    if [ "$1" = x86_64 ]; then
        # The static shell of the guest, and programs that tests call or compare with.
        unpack_tools "$tools" amd64 "$qemu_package" qemu-system-data seabios busybox-static iproute2 bpftool
        return
    fi
    get_tools x86_64
    lane "$1"
    # The compiler of rustup's has no library for these targets, Debian's has: rustc-web, in the version that is
    # this crate's oldest. So a foreign lane shows as well that the crate builds with it.
    local oldest
    oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repo/Cargo.toml")
    unpack_tools "$lane_tools" "$deb_arch" "$qemu_package" qemu-system-data "gcc-$gnu" "libc6-dev-$deb_arch-cross" \
        "rustc-web=$oldest.*" "libstd-rust-web-$oldest" "libstd-rust-web-dev=$oldest.*" \
        "busybox-static:$deb_arch" "libstd-rust-web-dev:$deb_arch=$oldest.*"
}

# unpack_tools DIR ARCH PACKAGE..: unpacks packages, and what they depend on and this machine lacks.
unpack_tools() {
    local dir=$1 arch=$2 room new codename backports deb native=() foreign=()
    shift 2
    [ "$(cat "$dir/.packages" 2> /dev/null)" = "$*" ] && return
    say "fetching $* (into $dir)"
    room=$cache/apt/${dir##*/} new=$dir.new
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    backports=$codename-backports
    apt_suites "$room" "$arch" "$codename" "$codename-security" "$backports"
    [ -e "$room/sources/$backports.list" ] || backports=$codename
    for package; do
        case $package in *:*) foreign+=("$package") ;; *) native+=("$package") ;; esac
    done
    rm -rf "$new" "$room/cache/archives/"*.deb
    apt_at "$room" apt-get install --download-only --yes --no-install-recommends --allow-downgrades \
        -t "$backports" "${native[@]}" >&2 || die "these could not be downloaded" "see apt's message above"
    # Of what is installed here already the line above fetches nothing; it is wanted all the same. And apt does
    # not install for an architecture that this machine does not have, but it downloads.
    apt_unpack "$room" "$new" -t "$backports" "$@" || die "these could not be downloaded" "see apt's message above"
    for deb in "$room"/cache/archives/*.deb; do
        [ ! -e "$deb" ] || dpkg-deb -x "$deb" "$new"
    done
    rm -f "$room/cache/archives/"*.deb
    echo "$*" > "$new/.packages"
    rm -rf "$dir"
    mv "$new" "$dir"
    # What only builds has none.
    if [ -f "$dir/usr/bin/${qemu_program:-none}" ]; then
        with_libs "$dir" "$dir/usr/bin/$qemu_program" --version | sed -n 's/.*version \([0-9]*\).*/\1/p' > "$dir/.qemu"
    fi
}

# with_libs DIR COMMAND..: runs a program that was unpacked there, with the libraries unpacked beside it.
with_libs() {
    local native dir=$1
    native=$(uname -m)-linux-gnu
    shift
    LD_LIBRARY_PATH=$dir/usr/lib/$native:$dir/lib/$native "$@"
}

busybox() { "$tools/bin/busybox" "$@"; }
