# Sourced: Debian packages of other suites and architectures, without touching this machine's packages.
# shellcheck shell=bash
#
# apt does the work: mirrors, proxies, signatures and checksums are whatever this machine has. All that is
# ours is a directory under the cache with a sources list, package lists and downloads of its own. Nothing is
# installed: a package is downloaded and unpacked (dpkg-deb -x) into a directory. Root is not needed.
#
# The mirror and the keyring are read from this machine's own apt sources, so this repository names no host.

# apt_at ROOM COMMAND ARGS..: apt-get or apt-cache inside a private room.
apt_at() {
    local room=$1 command=$2
    shift 2
    "$command" -qq -c "$room/apt.conf" "$@"
}

# apt_room ROOM: a private directory for apt, empty at first.
apt_room() {
    mkdir -p "$1/lists/partial" "$1/cache/archives/partial" "$1/sources"
    cat > "$1/apt.conf" <<CONF
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
Dir::State::lists "$1/lists";
Dir::Cache "$1/cache";
Dir::Cache::archives "$1/cache/archives";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "root";
APT::Keep-Downloaded-Packages "true";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::Retries "3";
Debug::NoLocking "true";
CONF
}

# The machine's own mirrors: `ORIGIN-LABEL RELEASE URI FILE`, one a line. Only apt knows how to read both
# formats of its sources, and it tells about those that it has lists of; hence an update, in a room of its own.
apt_mirrors() {
    local room=$cache/apt/host
    [ -s "$room/mirrors" ] && { cat "$room/mirrors"; return; }
    apt_room "$room"
    apt_at "$room" apt-get update >&2 || say "note: some of this machine's own apt sources did not answer"
    apt_at "$room" apt-get indextargets 'Created-By: Packages' 'Component: main' \
        --format '$(LABEL) $(RELEASE) $(REPO_URI) $(SOURCESENTRY)' | grep '^Debian' > "$room/mirrors" || true
    [ -s "$room/mirrors" ] || die "this machine's apt sources name no Debian mirror that answers" \
        "run 'apt-get update' to see why; the kernels come from Debian packages, so this needs a Debian machine"
    cat "$room/mirrors"
}

# apt_source SUITE ARCHS: the sources line for a suite: the security archive for *-security, else the main one.
apt_source() {
    local suite=$1 archs=$2 label=Debian uri entry key=
    case $suite in *-security) label=Debian-Security ;; esac
    apt_mirrors > /dev/null
    read -r uri entry < <(apt_mirrors | awk -v l="$label" '$1 == l { print $3, $4; exit }') ||
        die "this machine's apt sources have no mirror for suites like $suite" "add one, or take $suite out of $list"
    # Where the release has moved to an archive, only the user can know the place.
    local moved=RAWBPF_MIRROR_${suite//-/_}
    uri=${!moved:-$uri}
    # The key: deb822 `Signed-By: FILE` or one-line `[signed-by=FILE]`, from the file the mirror stands in;
    # without one apt trusts what is in trusted.gpg.d, for us too.
    key=$(sed -n 's/.*[Ss]igned-[Bb]y[:=][[:blank:]]*\(\/[^] ,]*\).*/\1/p' "${entry%:*}" | head -n 1)
    echo "deb [arch=$archs${key:+ signed-by=$key}] $uri $suite main"
}

# apt_suites ROOM ARCH SUITE..: fetches the package lists of the suites into the room, for this machine's
# architecture and ARCH. Each suite is tried alone, so that one that has gone is left out and reported; it fails
# only when none is left.
apt_suites() {
    local room=$1 arch=$2 native suite left=0
    shift 2
    native=$(dpkg --print-architecture)
    apt_room "$room"
    cat >> "$room/apt.conf" <<CONF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$room/sources";
APT::Architectures { "$native"; "$arch"; };
APT::Get::List-Cleanup "false";
CONF
    rm -f "$room"/sources/*
    for suite; do
        apt_source "$suite" "$native$([ "$arch" = "$native" ] || echo ",$arch")" > "$room/sources/$suite.list"
        if apt_at "$room" apt-get update -o "Dir::Etc::sourceparts=/dev/null" \
            -o "Dir::Etc::sourcelist=$room/sources/$suite.list" > "$room/update.log" 2>&1 &&
            ! grep -q '^[EW]: Failed' "$room/update.log"; then
            left=$((left + 1))
        else
            say "note: the suite $suite is not there:"
            sed 's/^/    /' "$room/update.log" >&2
            say "  if it has moved to an archive, set RAWBPF_MIRROR_${suite//-/_}=URI of that mirror"
            rm -f "$room/sources/$suite.list"
        fi
    done
    [ "$left" -gt 0 ] || die "none of these suites could be read: $*" "check this machine's network and apt proxy"
}

# apt_unpack ROOM TO PACKAGE..: downloads packages (NAME, NAME:ARCH or NAME=VERSION) and unpacks them into TO.
apt_unpack() {
    local room=$1 to=$2 debs deb
    shift 2
    debs=$(mktemp -d "$room/debs.XXXXXX")
    if ! (cd "$debs" && apt_at "$room" apt-get download "$@" >&2); then
        rm -rf "$debs"
        return 1
    fi
    mkdir -p "$to"
    for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$to" || return 1; done
    rm -rf "$debs"
}
