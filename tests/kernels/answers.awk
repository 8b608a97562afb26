# Reads a ledger and the guests' answers, and writes the block of a lane in docs/KERNELS.md: a column for each
# kernel; how many tests passed and were skipped; each answer to a probe; and the reasons of the skips.
BEGIN { FS = "\t" }
FILENAME ~ /ledger/ {
    if (!($2 in known)) { known[$2] = 1; kernels[++m] = $2 }
    if ($3 != "host") count[$3, $2]++
    if ($3 == "skip") {
        if (!($4 in why)) skipped[++s] = $4
        if (!(($4, $2) in listed)) { listed[$4, $2] = 1; why[$4] = why[$4] " " $2 }
    }
    next
}
{
    if (!($3 in seen)) { seen[$3] = 1; features[++n] = $3 }
    answer[$3, $1] = $4
}
function row(label, kind,    j, k) {
    printf "| %s |", label
    for (j = 1; j <= m; j++) {
        k = kernels[j]
        printf " %s |", kind == "head" ? k : kind == "answer" ? answer[label, k] : count[kind, k] + 0
    }
    print ""
}
END {
    row("kernel", "head")
    printf "|---|"
    for (j = 1; j <= m; j++) printf "---|"
    print ""
    row("tests passed", "pass")
    row("tests skipped", "skip")
    for (i = 1; i <= n; i++) row(features[i], "answer")
    if (s) print "\nSkipped for want of:\n"
    for (i = 1; i <= s; i++) print "* " skipped[i] ":" why[skipped[i]]
}
