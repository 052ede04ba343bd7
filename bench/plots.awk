# plots.awk - bench.csv to the gnuplot commands of one chart; plots.sh calls it
#
# Variables: out, kind (lines, steps or bars), rows (an expression), cut (what is
# cut off their names), wanted_unit, title, x_label, y_label, leave_out, footer.
# Prints nothing if there is nothing to draw.

BEGIN {
    FS = ","
    set_colours()
    # Side by side, whichever is met first.
    n_columns = split("floor least self fpheap shared header shim", columns, " ")
    for (i = 1; i <= n_columns; i++)
        met[columns[i]] = 1
}

NR > 1 && !($1 in met) {
    met[$1] = 1
    columns[++n_columns] = $1
}

NR > 1 && $2 ~ rows && $3 == wanted_unit && \
!index(" " leave_out " ", " " $1 " ") {
    label = $2
    gsub(cut, "", label)
    label = label == "" ? "plain" : label
    x = number(label)
    if (kind == "lines" && x == "")
        next
    drawn[$1] = 1
    if (!(label in place)) {
        labels[++n_places] = label
        place[label] = kind == "lines" ? x : n_places
    }
    value[$1, label] = $6
    quartiles[$1, label] = $7 " " $8
    repeats = $4 > repeats ? $4 : repeats
    if (!n_values++)
        least = most = $6 + 0
    low = kind == "bars" ? $7 + 0 : $6 + 0
    high = kind == "bars" ? $8 + 0 : $6 + 0
    least = low < least ? low : least
    most = high > most ? high : most
}

# 4096, 4k and 1m; nothing if it is not a number
function number(text)
{
    if (text ~ /^[0-9]+$/)
        return text + 0
    if (text ~ /^[0-9]+k$/)
        return text * 1024
    if (text ~ /^[0-9]+m$/)
        return text * 1024 * 1024
    return ""
}

# --- look ---------------------------------------------------------------------

# The same for the same allocator in all charts; fpheap stands out, and what is
# of one family has one hue.
function set_colours()
{
    colour["floor"] = "#000000"
    colour["least"] = "#8d8d8d"
    colour["fpheap"] = "#d00000"
    colour["self"] = "#ff8fa3"
    colour["shared"] = "#6d597a"
    colour["header"] = "#7f1d1d"
    colour["shim"] = "#e8590c"
    colour["glibc"] = "#1f77b4"
    colour["jemalloc"] = "#2ca02c"
    colour["mimalloc"] = "#9467bd"
    colour["tcmalloc"] = "#ff9f1c"
    colour["rte_malloc"] = "#8c564b"
    colour["mp_ring"] = colour["mempool"] = "#00a6a6"
    colour["mp_stack"] = "#005f73"
    colour["mp_lf"] = "#7bdff2"
    colour["mp_ring_nostv"] = "#84a98c"
    colour["mp_stack_nostv"] = "#2f5d50"
    colour["mp_lf_nostv"] = "#b7e4c7"
    n_spare = split("#5f0f40 #a7c957 #3a86ff #b5838d #606c38 #ffd166 #00798c " \
                    "#bc6c25 #c77dff #4a4e69 #80ed99 #00bbf9", spare, " ")
}

# A name that is not in the list keeps its colour as long as its spelling: the
# charts are made apart, and not all have the same columns.
function colour_of(name,    i, sum)
{
    if (name in colour)
        return colour[name]
    for (i = 1; i <= length(name); i++)
        sum = (sum * 31 + index("abcdefghijklmnopqrstuvwxyz0123456789_", \
                                substr(name, i, 1))) % 9973
    for (i = 0; i < n_spare; i++)
        if (!((sum + i) % n_spare in taken))
            break
    taken[(sum + i) % n_spare] = 1
    return colour[name] = spare[(sum + i) % n_spare + 1]
}

# --- axes ---------------------------------------------------------------------

function short(v)
{
    if (v >= 1000000)
        return sprintf("%gM", v / 1000000)
    return v >= 10000 ? sprintf("%gk", v / 1000) : sprintf("%g", v)
}

# The greatest that is not above v.
function power_of_ten(v,    power)
{
    power = 1
    while (power > v * 1.0001)
        power /= 10
    while (power * 10 <= v * 1.0001)
        power *= 10
    return power
}

# 1, 2 or 5 times a power of ten: the least not below v, or the greatest not above
function round_number(v, up,    power, m)
{
    power = power_of_ten(v)
    m = v / power
    if (up)
        return power * (m <= 1.0001 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10)
    return power * (m >= 4.9999 ? 5 : m >= 1.9999 ? 2 : 1)
}

# The labels on bars need room above.
function y_axis(    is_log, low, high, v, text, power, m, sparse)
{
    is_log = least > 0 && most > (kind == "bars" ? 20 : 3) * least
    printf "set ylabel \"%s%s\"\n", y_label, is_log ? " (log scale)" : ""
    if (!is_log) {
        printf "set yrange [0:%g]\n", most * (kind == "bars" ? 1.16 : 1.05)
        return
    }
    print "set logscale y"
    low = round_number(least * (kind == "bars" ? 0.7 : 0.95), 0)
    high = round_number(most * (kind == "bars" ? 2.5 : 1.05), 1)
    printf "set yrange [%g:%g]\n", low * 0.995, high * 1.005
    sparse = high > 20000 * low
    for (power = power_of_ten(low); power <= high; power *= 10)
        for (m = 1; m <= 5; m += m == 1 ? 1 : 3) {
            v = m * power
            if (v > low * 0.99 && v < high * 1.01 && (m == 1 || !sparse))
                text = text sprintf("%s\"%s\" %g", text ? ", " : "", short(v), v)
        }
    printf "set ytics (%s)\n", text
}

# As many labels as fit side by side.
function x_axis(    i, text, every, wide)
{
    for (i = 1; i <= n_places; i++)
        wide = length(labels[i]) > wide ? length(labels[i]) : wide
    if (kind == "lines") {
        print "set logscale x 2"
        order_places()
        printf "set xrange [%g:%g]\n", place[labels[1]] / 1.1,
            place[labels[n_places]] * 1.1
        every = int(n_places * (wide + 2) * 8 / 700) + 1
    } else {
        printf "set xrange [0.5:%g]\n", n_places + 0.5
        every = 1
    }
    for (i = 1; i <= n_places; i++)
        if (kind != "lines" || (n_places - i) % every == 0)
            text = text sprintf("%s\"%s\" %g", text ? ", " : "", labels[i],
                                place[labels[i]])
    printf "set xtics (%s)", text
    if (kind != "lines" && n_places * (wide + 1) * 8 > width - 260)
        printf " rotate by -25\nset bmargin at screen 0.28"
    print ""
    printf "set xlabel \"%s\"\n", x_label
}

function order_places(    i, j, label)
{
    for (i = 2; i <= n_places; i++) {
        label = labels[i]
        for (j = i - 1; j > 0 && place[labels[j]] > place[label]; j--)
            labels[j + 1] = labels[j]
        labels[j + 1] = label
    }
}

# --- the chart ----------------------------------------------------------------

function head()
{
    printf "reset\nset terminal svg size %d,540 noenhanced font \"sans,13\" " \
           "background \"#ffffff\"\n", width
    printf "set output \"%s\"\n", out
    printf "set label 1 \"%s\" at screen 0.015,0.955 font \"sans,17\"\n", title
    printf "set label 2 \"median%s of %d repeat%s%s\" at screen 0.015,0.05 " \
           "font \"sans,10\" textcolor rgb \"#666666\"\n",
           kind == "bars" ? " and quartiles" : "", repeats,
           repeats == 1 ? "" : "s", footer == "" ? "" : "; " footer
    print "set tmargin at screen 0.89"
    printf "set bmargin at screen %s\n", x_label == "" ? "0.16" : "0.2"
    print "set key outside right top reverse Left samplen 2 spacing 1.15"
    print "set border 3 linecolor rgb \"#888888\""
    print "set tics nomirror out textcolor rgb \"#222222\""
    print "set grid ytics linecolor rgb \"#dddddd\" linetype 1"
    print "set boxwidth 0.9 relative"
}

function data(    s, i, x, name)
{
    for (s = 1; s <= n_series; s++) {
        name = series[s]
        printf "$series%d << END\n", s
        for (i = 1; i <= n_places; i++) {
            if (!((name, labels[i]) in value))
                continue
            x = place[labels[i]]
            if (kind == "bars")
                x += ((s - 0.5) / n_series - 0.5) * 0.84
            printf "%g %s %s %s\n", x, value[name, labels[i]],
                sprintf(value[name, labels[i]] < 100 ? "%.3g" : "%.0f",
                        value[name, labels[i]]), quartiles[name, labels[i]]
        }
        print "END"
    }
}

function style(s,    name, c)
{
    name = series[s]
    c = colour_of(name)
    if (kind == "bars")
        return sprintf("with boxes fillstyle solid 1 noborder linecolor rgb " \
                       "\"%s\"", c)
    return sprintf("with linespoints linewidth %s dashtype %d pointtype %d " \
                   "pointsize 0.6 linecolor rgb \"%s\"",
                   name == "fpheap" ? "3.5" : "1.8", name == "floor" ? 2 : 1,
                   name == "floor" ? 6 : 7, c)
}

# fpheap last, over the others' lines; its place in the legend stays.  The number
# of a bar stands above its whisker.
function plot(    s)
{
    printf "plot "
    for (s = 1; s <= n_series; s++)
        printf "%s$series%d using 1:2:(%g) %s title \"%s\"",
            (s == 1 ? "" : ", "), s, 0.84 / n_series * 0.92, style(s),
            series[s] == "shim" ? "fpheap as malloc" : series[s]
    for (s = 1; s <= n_series; s++) {
        if (kind == "bars")
            printf ", $series%d using 1:4:(0):($5-$4) with vectors heads " \
                   "size screen 0.003,90 linecolor rgb \"#444444\" notitle", s
        if (kind == "bars" && n_series * n_places <= 140)
            printf ", $series%d using 1:5:3 with labels rotate by 90 left " \
                   "offset 0,0.4 font \"sans,11\" notitle", s
        if (kind != "bars" && series[s] == "fpheap")
            printf ", $series%d using 1:2 %s notitle", s, style(s)
    }
    print "\nunset output"
}

END {
    for (i = 1; i <= n_columns; i++)
        if (columns[i] in drawn)
            series[++n_series] = columns[i]
    if (!n_places || kind != "bars" && n_places < 2)
        exit
    if (!("fpheap" in drawn))
        colour["shim"] = colour["fpheap"]
    width = 240 + 17 * n_series * n_places
    width = kind != "bars" || width < 960 ? 960 : width > 1800 ? 1800 : width
    head()
    x_axis()
    y_axis()
    data()
    plot()
}
