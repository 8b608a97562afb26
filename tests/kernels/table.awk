# Makes the ledger (rows of ledger.awk) readable: a table test x kernel in Markdown, and below it each reason.
BEGIN { FS = "\t" }
{
    if (!($1 in seen)) { seen[$1] = 1; tests[++n] = $1 }
    if (!($2 in known)) { known[$2] = 1; kernels[++m] = $2 }
    cell[$1, $2] = $3 == "fail" ? "**FAIL**" : $3 == "skip" ? "skip: " $4 : $3 == "host" ? "" : $3
    if ($3 == "skip") {
        key = $4 ": " $5
        if (!(key in where)) reasons[++r] = key
        # A kernel once, however many tests skip there.
        if (!((key, $2) in listed)) { listed[key, $2] = 1; where[key] = where[key] " " $2 }
    }
}
END {
    printf "| test |"
    for (j = 1; j <= m; j++) printf " %s |", kernels[j]
    printf "\n|---|"
    for (j = 1; j <= m; j++) printf "---|"
    print ""
    for (i = 1; i <= n; i++) {
        printf "| %s |", tests[i]
        for (j = 1; j <= m; j++) printf " %s |", cell[tests[i], kernels[j]]
        print ""
    }
    if (r) print "\nSkipped because of:\n"
    for (i = 1; i <= r; i++) print "* " reasons[i] " (" substr(where[reasons[i]], 2) ")"
}
