# Sourced: the programs that run a guest and those that go into it, unpacked under the cache.
# shellcheck shell=bash
#
# QEMU 7.2 (Debian 12) breaks guests now and then: its cmpxchg16b leaves garbage in the flags register.
# Version 10 stands in the backports, so that is what is fetched, whatever this machine has installed.

# QEMU; the guest's shell (static); and programs that tests call or compare with.
tool_packages=(qemu-system-x86 busybox-static iproute2 bpftool)

# get_tools: fetches what is not in the cache. What a package depends on and this machine lacks comes with it.
get_tools() {
    [ "$(cat "$tools/.packages" 2>/dev/null)" = "${tool_packages[*]}" ] && return
    say "fetching QEMU and the guests' programs (about 20 MB) into $tools"
    local room=$cache/apt/tools codename backports new=$tools.new deb
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    backports=$codename-backports
    apt_suites "$room" "$(dpkg --print-architecture)" "$codename" "$codename-security" "$backports"
    [ -e "$room/sources/$backports.list" ] || backports=$codename
    rm -rf "$new" "$room/cache/archives/"*.deb
    apt_at "$room" apt-get install --download-only --yes --no-install-recommends -t "$backports" \
        "${tool_packages[@]}" >&2 || die "QEMU could not be downloaded" "see apt's message above"
    # Of what is installed here already the line above fetches nothing; the guest needs the package all the same.
    apt_unpack "$room" "$new" -t "$backports" "${tool_packages[@]}" ||
        die "QEMU could not be downloaded" "see apt's message above"
    for deb in "$room"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$new"; done
    rm -f "$room/cache/archives/"*.deb
    echo "${tool_packages[*]}" > "$new/.packages"
    rm -rf "$tools"
    mv "$new" "$tools"
}

# with_tools COMMAND..: runs a program that was unpacked, with the libraries unpacked beside it.
with_tools() { LD_LIBRARY_PATH=$tools/usr/lib/$(uname -m)-linux-gnu:$tools/lib/$(uname -m)-linux-gnu "$@"; }

busybox() { "$tools/bin/busybox" "$@"; }
