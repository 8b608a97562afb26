# Sourced by run and bench: builds the oracle, and says where it is. Needs lib.sh and lanes.sh.
# shellcheck shell=bash

target=${CARGO_TARGET_DIR:-$repo/target}/oracle
oracle=$target/x86_64-unknown-linux-gnu/release/rawbpf-oracle

[ -e /usr/include/libelf.h ] && [ -e /usr/include/zlib.h ] || apt-get install -qy libelf-dev zlib1g-dev > /dev/null
say "building the oracle"
# The two libraries alone: an installed libbpf, which lies beside them, would be linked instead of libbpf-sys's own.
mkdir -p "$target/static"
ln -sf /usr/lib/x86_64-linux-gnu/{libelf,libz}.a "$target/static/"
(cd "$repo/tests/oracle" && CARGO_TARGET_DIR=$target RUSTFLAGS="-C target-feature=+crt-static -L native=$target/static" \
    cargo build --quiet --release --target x86_64-unknown-linux-gnu)

room=$cache/oracle
# foreign: the files of real projects' packages, unpacked, and the objects cut out of them into $room/objects. Needs apt.sh.
foreign() {
    local package
    mkdir -p "$room"
    for package in libbpf-tools libxdp1 systemd; do
        [ -d "$room/$package" ] || {
            (cd "$room" && apt-get download -q "$package" > /dev/null 2>&1) || die "$package cannot be downloaded" "run apt-get update"
            dpkg-deb -x "$room/$package"_*.deb "$room/$package"
        }
    done
    [ -d "$room/objects" ] || find "$room"/{libbpf-tools,libxdp1,systemd} -type f -size +1k -exec "$oracle" --cut "$room/objects" {} +
}

# stage FILE...: the guests' common part, with these files in /o.
stage() {
    mkdir -p "$out"
    local stage=$out/guest-x86_64
    rm -rf "$stage"
    mkdir -p "$stage/bin" "$stage/etc" "$stage/lib/modules" "$stage/usr/bin" "$stage/o"
    cp "$here/init" "$stage/"
    cp "$lane_tools/bin/busybox" "$stage/bin/"
    modules | cut -d' ' -f1 > "$stage/lib/modules/order"
    cp "$oracle" "$stage/usr/bin/oracle"
    cp "$@" "$stage/o/"
    echo 'cd /o' > "$stage/env"
    (cd "$stage" && find . | busybox cpio -o -H newc -R 0:0 > "$stage.cpio" 2> /dev/null)
}
