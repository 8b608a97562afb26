# Sourced: all that differs by architecture, in one place.
# shellcheck shell=bash

# lane ARCH: sets
#   deb_arch flavour   what Debian calls the architecture, and the kernel that is small and boots fast
#   rust_target gnu    the Rust target, and the prefix of the C tools that link for it
#   lane_tools         where the lane's programs are unpacked
#   qemu_package qemu_program machine
#   bpf_target bpf_arch  how clang and the headers of BPF programs call it
#   out_tty console    the guest's device for the output, and for the kernel's console
lane() {
    case $1 in
    x86_64)
        deb_arch=amd64 flavour=cloud-amd64 rust_target=x86_64-unknown-linux-gnu gnu=x86_64-linux-gnu
        bpf_target=bpf bpf_arch=x86
        lane_tools=$tools qemu_package=qemu-system-x86 qemu_program=qemu-system-x86_64
        machine=(-machine q35 -cpu max) out_tty=ttyS0 console=ttyS1
        # QEMU 7.2 breaks x86 guests by its cmpxchg16b. Without it they run, but for arena maps from 6.19 on.
        [ "$(cat "$tools/.qemu" 2> /dev/null || echo 10)" -ge 8 ] || machine=(-machine q35 -cpu max,-cx16)
        ;;
    arm64)
        deb_arch=arm64 flavour=cloud-arm64 rust_target=aarch64-unknown-linux-gnu gnu=aarch64-linux-gnu
        bpf_target=bpf bpf_arch=arm64
        lane_tools=$cache/tools-arm64 qemu_package=qemu-system-arm qemu_program=qemu-system-aarch64
        # Pointer authentication by its real algorithm is most of what such a guest would compute.
        machine=(-machine virt -cpu max,pauth-impdef=on) out_tty=ttyAMA0 console=ttyAMA1
        ;;
    s390x)
        deb_arch=s390x flavour=s390x rust_target=s390x-unknown-linux-gnu gnu=s390x-linux-gnu
        bpf_target=bpfeb bpf_arch=s390
        lane_tools=$cache/tools-s390x qemu_package=qemu-system-s390x qemu_program=qemu-system-s390x
        machine=(-machine s390-ccw-virtio -cpu max) out_tty=ttysclp0 console=ttyS0
        ;;
    *) die "no lane for the architecture '$1'" "ARCH is one of x86_64, arm64, s390x" ;;
    esac
}
