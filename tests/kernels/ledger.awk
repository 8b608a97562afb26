# Reads what guests left behind and writes one row for each test and kernel:
#   test <tab> kernel <tab> status <tab> feature <tab> reason
# status: pass, skip, fail, ignored, or host for a test that is no kernel's matter.
#
#   awk -f ledger.awk kernel=5.10 x86_64-5.10/out kernel=6.1 x86_64-6.1/out ..
#
# Each guest says first which tests there are (@@name); every one of them has to answer on every kernel.
# A verdict is libtest's line `test NAME ... ok`. The test's own output can stand between the dots and the
# verdict, so a name stays open until a verdict ends it; one that is still open at the end was running when the
# guest died. A skip is known from the gate's line (@@ledger), never from libtest, for whom it is a pass.
BEGIN {
    FS = OFS = "\t"
    # A guest that said nothing has an empty file, which awk passes over; it counts all the same.
    for (i = 1; i < ARGC; i++)
        if (sub(/^kernel=/, "", ARGV[i])) { kernels[++n_kernels] = ARGV[i]; ARGV[i] = "kernel=" ARGV[i] }
}

FNR == 1 { open_test = "" }

$1 == "@@name" {
    if (sub(/: test$/, "", $2) && !($2 in known)) { known[$2] = 1; names[++n_names] = $2 }
    next
}

$1 == "@@ledger" && $2 == "skip" { skipped[kernel, $3] = $4 OFS $5; next }
$1 == "@@ledger" { next }

/^(failures:|test result: )/ { open_test = "" }
/^test .* \.\.\. / {
    open_test = $0
    sub(/^test /, "", open_test)
    sub(/( - should panic)? \.\.\. .*/, "", open_test)
    verdict[kernel, open_test] = "open"
}
# The last verdict before the next test counts: "ok" may have been the test's own word, or its child's.
open_test != "" && /ok\r?$/ { verdict[kernel, open_test] = "pass" }
open_test != "" && /FAILED\r?$/ { verdict[kernel, open_test] = "fail" }
open_test != "" && /ignored(, .*)?\r?$/ { verdict[kernel, open_test] = "ignored" }

END {
    for (i = 1; i <= n_names; i++)
        for (j = 1; j <= n_kernels; j++) {
            test = names[i]; k = kernels[j]; why = OFS
            v = verdict[k, test]
            if (v == "") { v = "fail"; why = OFS "did not run: the guest had died" }
            else if (v == "open") { v = "fail"; why = OFS "the guest died or was stopped in this test" }
            else if (v == "pass" && (k, test) in skipped) {
                why = skipped[k, test]
                v = why ~ /^host\t/ ? "host" : "skip"
            }
            print test, k, v, why
        }
}
