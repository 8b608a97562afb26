#!/bin/sh
# Installs what the tests and `make bpf` need besides Rust, if it is missing. Debian packages; root only.
set -eu
missing=''
need() { # COMMAND PACKAGE
    command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing="$missing $2"
}
need clang-19 clang-19
need llvm-objdump-19 llvm-19
need bpftool bpftool
need ip iproute2
need strace strace
need ping iputils-ping
need nft nftables
need gcc gcc
need bpf-gcc gcc-bpf
need promtool prometheus
need capsh libcap2-bin
need valgrind valgrind
need systemd-analyze systemd
[ -e /usr/include/bpf/bpf_helpers.h ] || missing="$missing libbpf-dev"
[ -e /usr/include/linux/bpf.h ] || missing="$missing linux-libc-dev"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ]; then
    echo "not root, so not installed:$missing; tests that need them are skipped or fail" >&2
    exit 0
fi
echo "installing$missing"
# Nothing that is installed may start: policy-rc.d forbids it, for as long as this takes.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# shellcheck disable=SC2086
apt-get install -qy --no-install-recommends $missing >/dev/null
