#!/bin/sh
# Every package that the crate is built from must have a licence that goes with MIT OR Apache-2.0.
set -eu
cargo metadata --format-version 1 --locked --all-features |
    tr '{' '\n' | sed -n 's/.*"name":"\([^"]*\)","version":"\([^"]*\)".*"license":\("[^"]*"\|null\).*/\1 \2 \3/p' |
    sort -u | awk '
    {
        line = $0; sub(/^[^ ]+ [^ ]+ /, "", line)
        ok = 0
        n = split(line, part, / OR |\//)
        for (i = 1; i <= n; i++) {
            gsub(/["()]/, "", part[i])
            good = 1
            m = split(part[i], both, / AND /)
            for (j = 1; j <= m; j++)
                if (both[j] !~ /^ *(MIT|Apache-2.0|Apache-2.0 WITH LLVM-exception|BSD-2-Clause|BSD-3-Clause|ISC|Zlib|Unicode-3.0|Unlicense|CC0-1.0|0BSD|BSL-1.0) *$/) good = 0
            if (good) ok = 1
        }
        if (!ok) { print "licence of " $0 " is not one of the allowed ones"; bad = 1 }
        count++
    }
    END { if (!count) { print "no packages were found"; exit 1 }; print count " packages, all licences allowed" ; exit bad }'
