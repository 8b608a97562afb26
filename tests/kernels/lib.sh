# Sourced by every script here: where things are, how the list is read, how the user is told.
# shellcheck shell=bash
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repo=$(cd "$here/../.." && pwd)
# Downloads stay outside the tree, so that `git clean` and a second clone do not fetch them again.
cache=${RAWBPF_CACHE:-$HOME/.cache/rawbpf}
# What a run leaves behind: the ledger, and for each kernel its output and console.
out=${CARGO_TARGET_DIR:-$repo/target}/kernels
tools=$cache/tools
list=$here/kernels.list

say() { printf '%s\n' "$*" >&2; }
# die WHAT [WHAT TO DO]: every failure says what to do about it.
die() { say "error: $1"; [ $# -lt 2 ] || say "  $2"; exit 1; }

# words KIND: the lines of the list that begin with KIND, without it.
words() { sed -n "s/^$1[[:blank:]]\{1,\}//p" "$list"; }
# suites ARCH: those for every architecture and those for this one.
suites() { words suite | awk -v arch="$1" '{ for (i = 2; i <= NF; i++) fits = fits || $i == arch } NF == 1 || fits { print $1 } { fits = 0 }'; }
modules() { words module; }
examples() { words example; }
# series ARCH NEED: the series of an architecture with that need (or any, for `all`), oldest first.
series() { words kernel | awk -v arch="$1" -v need="$2" '$1 == arch && (need == "all" || $3 == need) { print $2 }'; }
is_must() { series "$1" must | grep -qxF "$2"; }
is_listed() { series "$1" all | grep -qxF "$2"; }
