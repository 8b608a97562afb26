# Makes the ledger (rows of ledger.awk) readable: a table test x kernel in Markdown, and below it each reason.
# With -v brief=1 the rows that say nothing new (passed everywhere, or no kernel's matter) are only counted.
BEGIN { FS = "\t" }
{
    if (!($1 in seen)) { seen[$1] = 1; tests[++n] = $1 }
    if (!($2 in known)) { known[$2] = 1; kernels[++m] = $2 }
    cell[$1, $2] = $3 == "fail" ? "**FAIL**" : $3 == "skip" ? "skip: " $4 : $3 == "host" ? "" : $3
    if ($3 != "pass" && $3 != "host") news[$1] = 1
    if ($3 == "pass") ran[$1] = 1
    if ($3 == "skip") note("skip: " $4 ": " $5, $2)
    if ($3 == "fail" && $5 != "") note("**FAIL**: " $5, $2)
}
# A kernel is named once for a reason, however many tests have it.
function note(why, kernel) {
    if (!(why in where)) reasons[++r] = why
    if (!((why, kernel) in listed)) { listed[why, kernel] = 1; where[why] = where[why] " " kernel }
}
function row(label, i,    j) {
    printf "| %s |", label
    for (j = 1; j <= m; j++) printf " %s |", i ? cell[tests[i], kernels[j]] : kernels[j]
    print ""
}
END {
    for (i = 1; i <= n; i++) {
        if (brief && !(tests[i] in news)) { if (tests[i] in ran) same++; continue }
        if (!rows++) {
            row("test", 0)
            printf "|---|"
            for (j = 1; j <= m; j++) printf "---|"
            print ""
        }
        row(tests[i], i)
    }
    if (same) print (rows ? "\n" : "") same " tests passed on every one of these kernels."
    if (r) print "\nThe reasons:\n"
    for (i = 1; i <= r; i++) print "* " reasons[i] " (" substr(where[reasons[i]], 2) ")"
    for (i = 1; i <= n; i++)
        if ((tests[i] in news) && !(tests[i] in ran)) {
            if (!idle++) print "\nPassed on none of these kernels:\n"
            print "* " tests[i]
        }
}
