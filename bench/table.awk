# table.awk - the raw figures of a run to tables
#
#     awk [-v csv=FILE] [-v md=FILE] -f table.awk raw.txt
#
# Text tables go to standard output: minima, medians and spreads; the file csv
# gets one line for each allocator and row, md Markdown tables.  Lines of raw.txt:
#
#     allocator row unit value [what was started for it]
#     # key value...
#
# Of the latter, allocators and rows give the order of columns and rows, key the
# rows that Markdown shows first, failed what could not be measured; the others
# are printed as they are.  Units "times" are better when larger, all others when
# smaller.

$1 == "#" {
    text = $0
    sub(/^# [^ ]+ */, "", text)
    if ($2 == "allocators")
        n_names = split(text, names, " ")
    else if ($2 == "rows")
        n_started = split(text, started, " ")
    else if ($2 == "key")
        n_key = split(text, key_rows, " ")
    else if ($2 == "failed")
        failures[++n_failures] = text
    else
        header[++n_header] = sprintf("%-9s %s", $2, text)
    next
}

{
    row = $2
    if (!(row in unit)) {
        met[++n_met] = row
        unit[row] = $3
        group[row] = $5
        width = length(row) > width ? length(row) : width
    }
    if (!($1 in named)) {
        named[$1] = 1
        met_names[++n_met_names] = $1
    }
    key = row SUBSEP $1
    sample[key, ++count[key]] = $4
}

# --- statistics ---------------------------------------------------------------

# Insertion sort: there are a few dozen samples.
function sort_samples(key,    i, j, v)
{
    for (i = 2; i <= count[key]; i++) {
        v = sample[key, i]
        for (j = i - 1; j > 0 && sample[key, j] + 0 > v + 0; j--)
            sample[key, j + 1] = sample[key, j]
        sample[key, j + 1] = v
    }
}

# The least sample that a share of all samples does not exceed.
function quantile(key, share,    i)
{
    i = int(share * count[key])
    i += i < share * count[key]
    return sample[key, i] + 0
}

function statistic(key, which,    median)
{
    if (!count[key])
        return ""
    if (which == "best")
        return sample[key, unit[row] == "times" ? count[key] : 1] + 0
    median = quantile(key, 0.5)
    if (which == "median")
        return median
    if (median == 0)
        return 0
    return 100 * (quantile(key, 0.75) - quantile(key, 0.25)) / median
}

# Not what fpheap is measured against, nor another way to call it.
function is_other(name)
{
    return !index(" floor least self fpheap shared header shim ", " " name " ")
}

function better(a, b)
{
    return unit[row] == "times" ? a > b : a < b
}

# The ping-pong is the machine's, and two threads that do twice the work of one
# are as good as it gets, whatever the noise adds.
function compares()
{
    return row != "pingpong" && \
           !(unit[row] == "times" && value[ours] >= 1.95)
}

# look_at ROW WHICH - value[] of all allocators; best, the best of the others;
# first, its name; ours, the column that it is compared with, fpheap as malloc
# where fpheap itself has no figure; behind, whether it is better
function look_at(name, which,    i, v)
{
    row = name
    best = first = ""
    for (i = 1; i <= n_names; i++) {
        v = value[names[i]] = statistic(row SUBSEP names[i], which)
        if (v != "" && is_other(names[i]) && (best == "" || better(v, best))) {
            best = v
            first = names[i]
        }
    }
    ours = value["fpheap"] == "" ? "shim" : "fpheap"
    behind = best != "" && value[ours] != "" && compares() && \
             better(best, value[ours])
}

# --- text ---------------------------------------------------------------------

function cell(v, which)
{
    if (v == "")
        return "-"
    if (which == "spread")
        return sprintf("%.1f", v)
    return sprintf(v < 100 ? "%.2f" : "%.0f", v)
}

function ratio(a, b)
{
    return a == "" || b == "" || b == 0 ? "-" : sprintf("%.2f", a / b)
}

function column(name)
{
    return length(name) > 9 ? length(name) : 9
}

function table(title, which,    r, i)
{
    printf "\n%s\n%-*s %-5s", title, width, "row", "unit"
    for (i = 1; i <= n_names; i++)
        printf " %*s", column(names[i]), names[i]
    printf which == "spread" ? "\n" : "   /floor   /other\n"
    for (r = 1; r <= n_rows; r++) {
        look_at(rows[r], which)
        printf "%-*s %-5s", width, row, which == "spread" ? "%" : unit[row]
        for (i = 1; i <= n_names; i++)
            printf " %*s", column(names[i]), cell(value[names[i]], which)
        if (which != "spread")
            printf " %8s %8s", ratio(value[ours], value["floor"]),
                ratio(value[ours], best)
        if (which != "spread" && behind) {
            printf "  <-- %s is first", first
            n_behind[which]++
        }
        print ""
    }
}

function print_text(    i)
{
    for (i = 1; i <= n_header; i++)
        print header[i]
    table("best of each", "best")
    table("medians", "median")
    table("spread: from the first to the third quartile, in per cent of the " \
          "median", "spread")
    printf "\nrows in which an allocator other than fpheap is first: " \
           "%d by minimum, %d by median\n", n_behind["best"], n_behind["median"]
    for (i = 1; i <= n_failures; i++)
        print "failed: " failures[i]
}

# --- files --------------------------------------------------------------------

function print_csv(    r, i, key)
{
    print "allocator,row,unit,n,min,median,q1,q3,max" > csv
    for (r = 1; r <= n_rows; r++)
        for (i = 1; i <= n_names; i++) {
            key = rows[r] SUBSEP names[i]
            if (count[key])
                printf "%s,%s,%s,%d,%s,%s,%s,%s,%s\n", names[i], rows[r],
                    unit[rows[r]], count[key], sample[key, 1],
                    quantile(key, 0.5), quantile(key, 0.25),
                    quantile(key, 0.75), sample[key, count[key]] > csv
        }
    close(csv)
}

# The best of fpheap and the others is bold.
function md_row(which,    i, name, text, wins)
{
    printf "| %s | %s |", row, which == "spread" ? "%" : unit[row] > md
    for (i = 1; i <= n_names; i++) {
        name = names[i]
        text = cell(value[name], which)
        wins = behind ? name == first : name == ours
        printf which != "spread" && wins && text != "-" ? " **%s** |" : " %s |",
            text > md
    }
    if (which == "spread")
        printf "\n" > md
    else
        printf " %s | %s |\n", ratio(value[ours], value["floor"]),
            ratio(value[ours], best) > md
}

function md_table(title, which, n, list,    r, i)
{
    printf "\n## %s\n\n| row | unit |", title > md
    for (i = 1; i <= n_names; i++)
        printf " %s |", names[i] > md
    printf which == "spread" ? "\n|---|---|" : " / floor | / other |\n|---|---|" \
        > md
    for (i = 1; i <= n_names; i++)
        printf "--:|" > md
    printf which == "spread" ? "\n" : "--:|--:|\n" > md
    for (r = 1; r <= n; r++) {
        if (!(list[r] in unit))
            continue
        look_at(list[r], which)
        md_row(which)
    }
}

function print_md(    i)
{
    print "# fpheap beside other allocators\n" > md
    for (i = 1; i <= n_header; i++)
        print "    " header[i] > md
    print "\nThe best of fpheap and the allocators that are not a floor is bold;" \
          "\nbench/README.md says what the rows and columns are." > md
    for (i = 1; i <= n_failures; i++)
        print (i == 1 ? "\n" : "") "Failed: " failures[i] "." > md
    md_table("Key rows, medians", "median", n_key, key_rows)
    md_table("Key rows, best of each", "best", n_key, key_rows)
    md_table("All rows, medians", "median", n_rows, rows)
    md_table("All rows, best of each", "best", n_rows, rows)
    md_table("Spread: from the first to the third quartile, in per cent of the " \
             "median", "spread", n_rows, rows)
    close(md)
}

# The rows of what was started first come first; else as they were met.
function order_rows(    s, r)
{
    for (s = 1; s <= n_started; s++)
        for (r = 1; r <= n_met; r++)
            if (group[met[r]] == started[s] && !(met[r] in placed)) {
                placed[met[r]] = 1
                rows[++n_rows] = met[r]
            }
    for (r = 1; r <= n_met; r++)
        if (!(met[r] in placed))
            rows[++n_rows] = met[r]
    for (r = 1; !n_names && r <= n_met_names; r++)
        names[r] = met_names[r]
    n_names = n_names ? n_names : n_met_names
}

END {
    order_rows()
    for (key in count)
        sort_samples(key)
    print_text()
    if (csv != "")
        print_csv()
    if (md != "")
        print_md()
}
