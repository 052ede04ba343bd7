# table.awk - lines "allocator row unit value" to two tables: minima and medians.
# Units "times" are better when larger, all others when smaller.

BEGIN { n_names = split(allocators, names, " ") }

{
    row = $2
    unit[row] = $3
    if (!(row in seen)) {
        seen[row] = 1
        rows[++n_rows] = row
        width = length(row) > width ? length(row) : width
    }
    key = row SUBSEP $1
    sample[key, ++count[key]] = $4
}

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

function best_sample(key)
{
    return sample[key, unit[row] == "times" ? count[key] : 1]
}

function median_sample(key)
{
    return sample[key, int((count[key] + 1) / 2)]
}

function is_other(name)
{
    return name != "floor" && name != "least" && name != "fpheap" && name != "self" && \
           name != "header"
}

function better(a, b)
{
    return unit[row] == "times" ? a > b : a < b
}

# The ping-pong is the machine's, and two threads that do twice the work of one
# are as good as it gets, whatever the noise adds.
function compares(row)
{
    return row != "pingpong" && \
           !(unit[row] == "times" && value["fpheap"] >= 1.95)
}

function cell(v)
{
    return v == "" ? "-" : sprintf(v < 100 ? "%.2f" : "%.0f", v)
}

function ratio(a, b)
{
    return a == "" || b == "" || b == 0 ? "-" : sprintf("%.2f", a / b)
}

function table(title, which,    r, i, v, best, key, first)
{
    printf "\n%s\n%-*s %-5s", title, width, "row", "unit"
    for (i = 1; i <= n_names; i++)
        printf " %9s", names[i]
    printf " %8s %8s\n", "/floor", "/other"
    for (r = 1; r <= n_rows; r++) {
        row = rows[r]
        best = ""
        printf "%-*s %-5s", width, row, unit[row]
        for (i = 1; i <= n_names; i++) {
            key = row SUBSEP names[i]
            v = !count[key] ? "" : which == "best" ? best_sample(key) + 0 \
                                                   : median_sample(key) + 0
            value[names[i]] = v
            printf " %9s", cell(v)
            if (v != "" && is_other(names[i]) &&
                (best == "" || better(v, best))) {
                best = v
                first = names[i]
            }
        }
        printf " %8s %8s", ratio(value["fpheap"], value["floor"]),
            ratio(value["fpheap"], best)
        if (best != "" && value["fpheap"] != "" && compares(row) &&
            better(best, value["fpheap"])) {
            printf "  <-- %s is first", first
            behind[which]++
        }
        print ""
    }
}

END {
    for (key in count)
        sort_samples(key)
    table("best of each", "best")
    table("medians", "median")
    printf "\nrows in which an allocator other than fpheap is first: " \
           "%d by minimum, %d by median\n", behind["best"], behind["median"]
}
