#!/usr/bin/env python3
"""structure.py - whether fpheap.h is laid out as it says, read from its text

    tests/structure.py [--header=FILE] order|labels|limits|counts

order    A function names (calls, or takes the address of) only functions of its
         own section and of those above it.  FASTPATH may also name what a hit
         cannot do, the functions that it declares.  LATER has the other
         exceptions.

labels   Each atomic operation that is not relaxed carries a label.  A label
         stands in one table, with the operation's order, in a comment of the
         section that uses it, and no other section uses it; ELSEWHERE has the
         exceptions.  Each label of a table of orders is used.  A label that a
         sentence or a message names exists.  A letter is that of one section.
         No CAS is a release that fails as an acquire.

limits   The counts below are within LIMITS.

counts   Lines, functions, labels and so on, as a table.

A section begins with the comment [NAME] ====, a function with its name in
column 1, a table's row with three blanks and its label.
"""
import re
import statistics
import sys
from bisect import bisect
from collections import defaultdict

HEADER = "fpheap.h"

# (function, function of a later section): why.
TOLD = "it tells the size of the caller's struct"
LATER = {
    ("fpheap_stats_get", "fpheap_stats_get_sized"): TOLD,
    ("fpheap_class_stats_get", "fpheap_class_stats_get_sized"): TOLD,
    ("fpheap_pool_stats_get", "fpheap_pool_stats_get_sized"): TOLD,
    ("fpheap_tag_stats_get", "fpheap_tag_stats_get_sized"): TOLD,
    **{(f, "fpheap_object_at"): "the type of the macro's name" for f in (
        "fph_view_show", "fpheap_walk", "fph_verify_heap",
        "fpheap_pool_for_each", "fph_pools_end")},
}

# The section of a table: those that use its labels all the same.  FASTPATH has the
# inline part of checking.
ELSEWHERE = {
    "META": "DEPOT",
    "DEBUG": "FASTPATH",
    "SLAB": "POOL",
    "CALL": "CACHE SHARED",
    "CACHE": "OBJECT POOL STATS HEAP SHARED",
    "POOL": "REGION SLAB STATS SHARED",
}

# Functions whose operations need no label: why.
UNLABELLED = {
}

# What is counted: at most.  All that has a limit is a line of "counts".
LIMITS = {
    "lines": 18516,
    "lines of a function, median": 8,
    "lines of a function, most": 37,
    "#if in functions but of PLATFORM, DEBUG": 4,
}
# At least.
SHARE = ("lines with a comment, %", 23)

ALLOCATION = "fph_alloc_miss"   # where an allocation that may grow begins
CORE = ("FASTPATH", "ALLOC")    # from one to the other, and HEAP
NOT_CORE = ("DEBUG", "OBJECT")
CONDITIONAL = ("PLATFORM", "DEBUG")     # sections that may have #if in bodies

ORDERS = ("relaxed", "acquire", "release", "acq_rel", "seq_cst")
LABEL = r"(?:[A-Z]{1,2}[0-9]{1,2}|[A-Z]{3,}\.[0-9]{1,2})"
NOT_LABELS = ("C11", "C99", "C17")
OPERATION = re.compile(
    rf"\b(?:fph_(?:load|store|cas|max|fetch_\w+)_(?P<name>{'|'.join(ORDERS)})"
    r"|FPH_(?:LOAD|STORE|REFS_ADD|FETCH_\w+|CAS|CAS_PTR|SWAP))\(")
FIXED = ("FPH_SWAP",)   # see its definition


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def closing(code, at):
    """Where the bracket closes that opens in front of a place."""
    depth = 1
    while depth > 0:
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        at += 1
    return at


class Header:
    """The text, and what is found in it."""

    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            self.source = file.read()
        self.ends = [m.end() for m in re.finditer("\n", self.source)]
        self.comments = []              # (line, text)
        self.strings = []
        self.plain = self.without_comments()
        self.code = re.sub(r"'(?:\\.|[^'\n])'", blank, self.plain)
        self.lines = self.code.split("\n")
        self.sections = [("HEAD", 1)]   # (name, first line)
        for match in re.finditer(r"^/\* \[([A-Z]+)\] =", self.source, re.M):
            self.sections.append((match.group(1), self.line(match.start())))
        self.rank = {name: at for at, (name, _) in enumerate(self.sections)}
        self.bodies = defaultdict(list)         # function: (start, end)
        for match in re.finditer(r"^(fph\w+)\([^;{}]*\)\n\{\n(.*?)^\}",
                                 self.code, re.S | re.M):
            self.bodies[match.group(1)].append((match.start(2), match.end(2)))
        self.names = self.find_names()
        self.fixed = {name: re.search(
            rf"define {name}\([^#]*?__ATOMIC_(\w+)", self.code).group(1).lower()
                      for name in FIXED if f"define {name}(" in self.code}
        first, last = (self.sections[self.rank["FASTPATH"] + more][1]
                       for more in (0, 1))
        self.misses = set(re.findall(r"^FPHEAP_API [^;(]*\b(fph_\w+)\(", "\n".join(
            self.lines[first:last]), re.M))

    def line(self, at):
        return bisect(self.ends, at) + 1

    def section(self, line):
        return self.sections[bisect([first for _, first in self.sections],
                                    line) - 1][0]

    def section_of(self, function):
        return self.section(self.line(self.bodies[function][0][0]))

    def without_comments(self):
        def take(match):
            text = match.group()
            where = self.comments if text.startswith("/*") else self.strings
            where.append((self.line(match.start()), text))
            return blank(match)
        return re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/', take, self.source,
                      flags=re.S)

    def find_names(self):
        """What a macro or a table of functions stands for."""
        found = defaultdict(set)
        for match in re.finditer(r"^[ ]*#[ ]*define (\w+)((?:[^\n]*\\\n)*[^\n]*)",
                                 self.code, re.M):
            found[match.group(1)] |= set(re.findall(r"\w+", match.group(2)))
        for match in re.finditer(r"^([a-z][^;{}#=]*?)\s=\s*(\{.*?\});",
                                 self.code, re.S | re.M):
            for name in re.findall(r"\bfph\w+(?=[\[)]|$)", match.group(1)):
                found[name] |= set(re.findall(r"\w+", match.group(2)))
        return {name: words for name, words in found.items()
                if name not in self.bodies}

    def functions_in(self, text):
        """The functions that a text names, itself or by a macro or a table."""
        found, seen, new = set(), set(), set(re.findall(r"\w+", text))
        while new:
            word = new.pop()
            seen.add(word)
            if word in self.bodies:
                found.add(word)
            new |= self.names.get(word, set()) - seen
        return found

    def named_by(self, function):
        text = " ".join(self.code[start:end]
                        for start, end in self.bodies[function])
        return self.functions_in(text) - {function}


# --- order ------------------------------------------------------------------

def check_order(header):
    used = set()
    for function in header.bodies:
        section = header.section_of(function)
        for other in sorted(header.named_by(function)):
            later = header.section_of(other)
            if header.rank[later] <= header.rank[section] \
                    or (section == "FASTPATH" and other in header.misses):
                continue
            if (function, other) in LATER:
                used.add((function, other))
                continue
            line = header.line(header.bodies[function][0][0])
            yield (f"{line}: {function} of {section} names {other} of {later}, "
                   "a later section")
    for pair in sorted(set(LATER) - used):
        yield f"structure.py: LATER: {pair[0]} does not name {pair[1]}"


# --- labels -----------------------------------------------------------------

class Row:
    """A label of a table."""

    def __init__(self, line, section, text):
        self.line, self.section, self.text = line, section, text
        self.orders = set(re.findall("|".join(ORDERS), text))
        self.is_order = re.search(rf"  ?(?:{'|'.join(ORDERS)})(?:  |\n|$)",
                                  text.split("\n")[0]) is not None


def rows(header):
    """label: rows"""
    found = defaultdict(list)
    for first, comment in header.comments:
        for match in re.finditer(rf"^ \*   ({LABEL}) +(?!\.\.)(\S.*(?:\n \*    +\S.*)*)",
                                 comment, re.M):
            line = first + comment[:match.start()].count("\n")
            found[match.group(1)].append(
                Row(line, header.section(line), match.group(2)))
    return found


def order_in(arguments):
    """The order that the arguments of FPH_LOAD and the like end with; that of
    success if there are two."""
    found = re.search(r"\b(\w+)(?:,\s*(\w+))?\)$", arguments)
    orders = [word.lower() for word in found.groups() if word] if found else []
    return next((order for order in orders if order in ORDERS), "")


def operations(header):
    """(function, lines, order) of each atomic operation."""
    for function, places in header.bodies.items():
        for start, end in places:
            for match in OPERATION.finditer(header.code, start, end):
                last = closing(header.code, match.end())
                order = match.group("name") \
                    or header.fixed.get(match.group()[:-1]) \
                    or order_in(header.code[match.end():last])
                if order in ORDERS:
                    yield (function, range(header.line(match.start()),
                                           header.line(last - 1) + 1), order)


def labels_at(header):
    """line: labels of a comment that has nothing else"""
    found = {}
    for line, comment in header.comments:
        if re.fullmatch(rf"/\* *{LABEL}(?:, {LABEL})* *\*/", comment):
            found[line] = re.findall(LABEL, comment)
    return found


def says(row, order, is_half):
    """Whether a row has an order; a load or a store has a half of acq_rel."""
    return not row.orders or order in row.orders \
        or (is_half and "acq_rel" in row.orders and order != "relaxed")


def check_operation(header, table, lines, order, labels):
    """What is wrong with the labels of an operation."""
    section = header.section(lines[0])
    for label in labels:
        if label not in table:
            yield f"{lines[0]}: {label} stands in no table"
            continue
        row = table[label][0]
        if section not in [row.section, *ELSEWHERE.get(row.section, "").split()]:
            yield (f"{lines[0]}: {label} of {row.section} is used in {section}")
        is_half = re.search("load|store", header.lines[lines[0] - 1], re.I)
        if not says(row, order, is_half) and len(labels) == 1:
            yield f"{lines[0]}: {label} is {order}, and its row says otherwise"


def check_mentions(header, table):
    """Labels in sentences and messages."""
    texts = header.comments + [(line, text) for line, text in header.strings
                               if re.match(rf'"{LABEL}[:,]', text)]
    for line, text in texts:
        for match in re.finditer(rf"(?<![\w.+%-]){LABEL}(?![\w%-]|\.\w)", text):
            if match.group() not in table and match.group() not in NOT_LABELS:
                yield (f"{line + text[:match.start()].count(chr(10))}: "
                       f"{match.group()} stands in no table")


def check_labels(header):
    table, at = rows(header), labels_at(header)
    used, letters = set(), {}
    for label, found in table.items():
        home = letters.setdefault(label[0], found[0].section)
        if home != found[0].section:
            yield f"{found[0].line}: {label} has a letter of {home}"
        for row in found[1:]:
            yield f"{row.line}: {label} is there already"
        row = found[0]
        if "." in label and label.split(".")[0] != row.section:
            yield f"{row.line}: {label} begins with another section"
    for function, lines, order in operations(header):
        labels = [label for line in lines for label in at.get(line, [])]
        used.update(labels)
        if not labels and order != "relaxed" and function not in UNLABELLED \
                and header.section(lines[0]) != "PLATFORM":
            yield f"{lines[0]}: {function}: {order} without a label"
        yield from check_operation(header, table, lines, order, labels)
    for label, found in table.items():
        if found[0].is_order and label not in used:
            yield f"{found[0].line}: {label} is not used"
    for match in re.finditer(r"\bRELEASE,\s*ACQUIRE\b", header.code):
        yield (f"{header.line(match.start())}: a CAS is a release, and an acquire "
               "if it fails, which gcc drops for POWER")
    yield from check_mentions(header, table)


# --- counts -----------------------------------------------------------------

def closure(header, function):
    """All functions that a call may get to."""
    found, new = set(), {function} & set(header.bodies)
    while new:
        one = new.pop()
        found.add(one)
        new |= header.named_by(one) - found
    return found


def conditionals(header):
    """The lines of #if in functions where none should be."""
    for places in header.bodies.values():
        for start, end in places:
            for match in re.finditer(r"^[ ]*#[ ]*if", header.code[start:end],
                                     re.M):
                line = header.line(start + match.start())
                if header.section(line) not in CONDITIONAL:
                    yield line


def lengths(header):
    """section: lines"""
    ends = [first for _, first in header.sections[1:]]
    ends.append(len(header.lines))
    return {name: end - first
            for (name, first), end in zip(header.sections, ends)}


def core(header):
    sizes, total = lengths(header), 0
    for name, size in sizes.items():
        if name == "HEAP" or (name not in NOT_CORE
                              and header.rank[CORE[0]] <= header.rank[name]
                              <= header.rank[CORE[1]]):
            total += size
    return total


def counts(header):
    """(what, how many)"""
    commented = {line for first, text in header.comments
                 for line in range(first, first + text.count("\n") + 1)}
    code = sum(bool(line.strip()) for line in header.plain.split("\n"))
    lines = len(header.ends)
    sizes = [header.code.count("\n", start, end)
             for places in header.bodies.values() for start, end in places]
    reached = closure(header, ALLOCATION)
    yield "lines", lines
    yield "lines of code", code
    yield SHARE[0], int(100 * len(commented) / lines)
    yield "functions", len(header.bodies)
    yield "lines of a function, median", int(statistics.median(sizes))
    yield "lines of a function, most", max(sizes)
    yield "#if", len(re.findall(r"^[ ]*#[ ]*if", header.code, re.M))
    yield "#if in functions but of PLATFORM, DEBUG", len(
        list(conditionals(header)))
    yield "labels", len(rows(header))
    yield "structs", len(re.findall(r"\bstruct(?: \w+)? \{", header.code))
    yield "sections", len(header.sections) - 1
    yield "functions that an allocation may get to", len(reached)
    yield "sections of these", len({header.section_of(f) for f in reached})
    yield "lines of FASTPATH to ALLOC, and HEAP", core(header)


def check_limits(header):
    for what, number in counts(header):
        if number > LIMITS.get(what, number):
            yield f" {what}: {number}, more than {LIMITS[what]}"
        if what == SHARE[0] and number < SHARE[1]:
            yield f" {what}: {number}, less than {SHARE[1]}"


def print_counts(header):
    for what, number in counts(header):
        print(f"{what:42} {number:6}")
    print()
    for name, size in lengths(header).items():
        print(f"[{name}]".ljust(42), f"{size:6}")


def main():
    arguments = sys.argv[1:]
    path = HEADER
    if arguments and arguments[0].startswith("--header="):
        path = arguments.pop(0)[len("--header="):]
    checks = {"order": check_order, "labels": check_labels,
              "limits": check_limits}
    header = Header(path)
    if arguments == ["counts"]:
        print_counts(header)
    elif len(arguments) != 1 or arguments[0] not in checks:
        sys.exit(__doc__)
    else:
        wrong = list(checks[arguments[0]](header))
        for one in wrong:
            print(one if one.startswith("structure.py")
                  else f"{HEADER}:{one}")
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
