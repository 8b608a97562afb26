#!/bin/sh
# The main job, for real: two namespaces joined by a wire, a packet counter on one end, pings from the other.
# Everything is made here and gone afterwards; the machine's own network is not touched.
set -eu
cd "$(dirname "$0")/.."
if [ "$(id -u)" != 0 ]; then
    echo "the demo loads a program into the kernel: run it as root (sudo make demo)" >&2
    exit 1
fi
command -v ip >/dev/null || tests/deps.sh
command -v ping >/dev/null || tests/deps.sh
cargo build -q --release --features cli,export
if [ "${1-}" != inside ]; then
    # Network and mount namespaces of our own: the interface, the bpffs, all of it ends with this script.
    exec unshare -mn --propagation private "$0" inside
fi
PATH="$(realpath "${CARGO_TARGET_DIR:-target}")/release:/usr/sbin:/sbin:$PATH"
umount /sys/fs/bpf 2>/dev/null || true
say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; "$@"; }

unshare -n sleep 1000 & other=$!
trap 'kill $other 2>/dev/null' EXIT
sleep 0.2
ip link add demo0 type veth peer name demo1
ip link set demo1 netns $other
ip addr add 192.0.2.1/24 dev demo0 && ip link set demo0 up
far() { nsenter -t $other -n "$@"; }
far ip addr add 192.0.2.2/24 dev demo1 && far ip link set demo1 up
sleep 0.5

say rawbpf inspect bpf/packet_count.o
say rawbpf plan bpf/packet_count.o --xdp demo0
say rawbpf load bpf/packet_count.o --xdp demo0
say rawbpf map dump packet_count_map
printf '\n(ten pings come in from the other end)\n'
far ping -q -c 10 -i 0.01 192.0.2.1 >/dev/null
say rawbpf map dump packet_count_map
say rawbpf link list
say rawbpf unload packet_count
printf '\nThe hook is empty again: '
ip link show demo0 | grep -q xdp && echo no || echo yes
