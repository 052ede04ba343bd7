#!/usr/bin/env python3
"""coverage.py - what the test programs reach in fpheap.h

    tests/coverage.py [WORD...]    only the programs with a WORD in their names

Without a WORD those named stress_ and test_schedules are left out: what they
reach by chance the others reach on purpose, each time.

Each program is built with clang's coverage, run, and what it reached is added
to what the others did: the header is compiled into each with settings of its
own, so a branch counts as covered if one of them takes it.  Printed are lines,
branches (each condition true and false) and, from clang 18 on, the conditions
of && and || that were seen to decide alone (MC/DC): two evaluations differ in
this one and in the result.

What nothing takes must be argued in tests/coverage.txt:

    FUNCTION: CONDITION: true|false|alone
        why it is not taken

where the condition is as it is in the header, with single blanks, and the
outcome is the one that does not occur.  A condition of which an outcome does
not occur cannot decide alone, so the one entry is for both.  The script fails
if a branch or a condition is not argued, or if what is argued is not in the
header any more.

With TAG="SHARED VIEW" in the environment it is about these sections of the
header only, and their lines that nothing runs are printed too.
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
from collections import defaultdict

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = "fpheap.h"
ARGUED = "tests/coverage.txt"
IN_DECISION = 6                 # CounterMappingRegion::MCDCBranchRegion
OUTCOMES = ("true", "false", "alone")
TAGS = os.environ.get("TAG", "").split()
BY_CHANCE = ("stress_", "test_schedules")
LIMIT = 600                     # seconds that a program may take

# The corpora of the fuzz targets, replayed with several settings.
FUZZERS = [("fuzz_api",), ("fuzz_config",),
           ("fuzz_api_headers", "-DFPHEAP_HEADER=1"),
           ("fuzz_api_check", "-DFPHEAP_CHECK=1"),
           ("fuzz_api_pages", "-DFPHEAP_CHUNK_SHIFT=18",
            "-DFPHEAP_PAGE_SHIFT=14")]

# With what tells Valgrind, which says nothing where that is not at work.
MEMCHECK = "/usr/include/valgrind/memcheck.h"
TOOLED = [("test_check_tool", "tests/debug/test_check.c"),
          ("test_misuse_tool", "tests/debug/test_misuse.c"),
          ("test_references_tool", "tests/test_references.c")]

# A child that ends without exit() writes what it reached too.
AT_EXIT = """
int  __llvm_profile_write_file(void);
void __real__exit(int status) __attribute__((noreturn));
void __real_abort(void) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
void __wrap_abort(void) __attribute__((noreturn));
void
__wrap__exit(int status)
{
    __llvm_profile_write_file();
    __real__exit(status);
}
void
__wrap_abort(void)
{
    __llvm_profile_write_file();
    __real_abort();
}
"""
# With one name for the main file, the header's functions have the same names in
# all programs, and what these see is added up where their settings agree.
FLAGS = ["-std=gnu11", "-O1", "-w", "-pthread",
         "-fprofile-instr-generate", "-fcoverage-mapping",
         "-fprofile-update=atomic", "-Wl,--wrap=_exit,--wrap=abort",
         "-Xclang", "-main-file-name", "-Xclang", HEADER]
# What is between two conditions but operators.
ARGUMENTS = re.compile(r"/\*.*?\*/|\([^()]*\)")
# Branches within a macro's argument belong to the macro: these two go.
HINTS = re.compile(r"^(#define FPH_(?:UN)?LIKELY)\(.*$", re.MULTILINE)


def find_clang():
    """The number of the newest clang that has its llvm-cov, and the three."""
    for number in range(40, 9, -1):
        tools = [f"{tool}-{number}"
                 for tool in ("clang", "llvm-profdata", "llvm-cov")]
        if all(shutil.which(tool) for tool in tools):
            return number, tools
    sys.exit("coverage: needs clang and llvm-cov, best with MC/DC: "
             "apt-get install clang-19 llvm-19 libclang-rt-19-dev")


def programs(words):
    """(name, sources and flags, arguments) of each program."""
    found = []
    for path in sorted(glob.glob("tests/test_*.c")
                       + glob.glob("tests/debug/test_*.c")
                       + glob.glob("tests/stress_*.c")):
        found.append((os.path.basename(path)[:-2],
                      [path, "tests/filter.c", "-lcmocka"], []))
    for name, path in TOOLED if os.path.exists(MEMCHECK) else []:
        found.append((name, ["-DFPHEAP_TOOL=3", path, "tests/filter.c",
                             "-lcmocka"], []))
    for name, *flags in FUZZERS:
        target = name.split("_")[1]
        found.append((name, [*flags, f"tests/fuzz_{target}.c"],
                      sorted(glob.glob(f"tests/corpus/{target}/*"))))
    if not words:
        return [p for p in found if not p[0].startswith(BY_CHANCE)]
    return [p for p in found if any(word in p[0] for word in words)]


def execute(name, binary, arguments):
    """Run a program for what it reaches; it should pass, too."""
    try:
        with open(f"{binary}.log", "wb") as log:
            status = subprocess.run(
                [binary, *arguments], stdout=log, stderr=log, timeout=LIMIT,
                stdin=subprocess.DEVNULL, check=False,
                env=dict(os.environ, LLVM_PROFILE_FILE=f"{binary}-%m.profraw"),
            ).returncode
    except subprocess.TimeoutExpired:
        status = f"more than {LIMIT} s"
    if status not in (0, 77):
        print(f"coverage: {name} ended with {status}: {binary}.log",
              flush=True)


def build(program, number, tools, where):
    """Build and run a program; the names of its profiles."""
    name, sources, arguments = program
    binary = os.path.join(where, name)
    for old in glob.glob(f"{binary}-*.profraw"):
        os.remove(old)
    more = ["-fcoverage-mcdc"] if number >= 18 else []
    built = subprocess.run([tools[0], *FLAGS, *more, f"-I{where}", "-I.",
                            "-o", binary, *sources,
                            os.path.join(where, "at_exit.c")], check=False,
                           capture_output=True, text=True)
    if built.returncode != 0:
        sys.exit(f"coverage: {name}: {built.stderr}")
    execute(name, binary, arguments)
    return glob.glob(f"{binary}-*.profraw")


def export(name, profile, cov, where):
    """What llvm-cov says of a program, as (json, lcov)."""
    exported = [subprocess.run(
        [cov, "export", form, os.path.join(where, name), "-instr-profile",
         profile], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,      # functions of two programs' own
        text=True).stdout for form in ("-format=text", "-format=lcov")]
    return json.loads(exported[0]), exported[1]


class Coverage:
    """What all programs together reached."""

    def __init__(self):
        with open(HEADER, encoding="utf-8") as file:
            self.source = file.read().split("\n")
        self.tags = self.find_tags()
        self.directives = self.find_directives()
        self.lines = defaultdict(int)
        self.branches = defaultdict(lambda: [0, 0])
        self.texts = {}                 # of the branches
        self.decisions = {}             # of the conditions
        self.alone = defaultdict(bool)  # condition: seen to decide alone

    def is_wanted(self, number):
        """Whether a line is in a section that TAG names, if it names any."""
        return not TAGS or self.tags[number - 1] in TAGS

    def find_tags(self):
        """The section of each line."""
        tags, tag = [], ""
        for line in self.source:
            match = re.match(r"/\* \[([A-Z]+)\] =", line)
            tag = match.group(1) if match else tag
            tags.append(tag)
        return tags

    def find_directives(self):
        """The numbers of lines of macros: what is in them is no branch, as a
        function that a setting makes a constant."""
        lines, more = set(), False
        for number, line in enumerate(self.source, 1):
            if more or line.lstrip().startswith("#"):
                lines.add(number)
                more = line.endswith("\\")
        return lines

    def between(self, line, column, last, end):
        """The rows of the source between two places."""
        rows = self.source[line - 1:last]
        rows[-1] = rows[-1][:end - 1]
        rows[0] = rows[0][column - 1:]
        return rows

    def text(self, at):
        """The source between two places, with single blanks."""
        last, end = at[2:]
        rows = self.between(*at)
        rest = "\n".join([self.source[last - 1][end - 1:]]
                         + self.source[last:last + 9])
        depth = 0
        if rest.startswith("("):       # of a macro there is only the name
            for length, character in enumerate(rest, 1):
                depth += (character == "(") - (character == ")")
                if depth == 0:
                    rows[-1] += rest[:length]
                    break
        return " ".join(" ".join(rows).split())

    def add(self, exported, lcov):
        for function in exported["data"][0]["functions"]:
            if not function["filenames"][0].endswith("/" + HEADER):
                continue
            name = re.sub(r".*:|_v\d+_chunk\d.*", "", function["name"])
            places = []
            for branch in function["branches"]:
                if not function["filenames"][branch[6]].endswith("/" + HEADER) \
                        or branch[0] in self.directives \
                        or not self.is_wanted(branch[0]):
                    continue           # in a macro
                if branch[8] == IN_DECISION:
                    places.append(branch[:4])
                key = (name, branch[0], branch[1])
                self.texts[key] = self.text(branch[:4])
                counts = self.branches[key]
                counts[0] += branch[4]
                counts[1] += branch[5]
            for decision in function.get("mcdc_records", []):
                if decision[0] not in self.directives \
                        and self.is_wanted(decision[0]):
                    self.add_decision(name, decision[:4], sorted(places),
                                      decision[-1])
        ours = False
        for line in lcov.split("\n"):
            if line.startswith("SF:"):
                ours = line.endswith("/" + HEADER)
            elif ours and line.startswith("DA:"):
                number, count = map(int, line[3:].split(",")[:2])
                if self.source[number - 1] and self.is_wanted(number):
                    self.lines[number] += count

    def add_decision(self, name, at, places, alone):
        """Conditions of a decision and whether each decides alone.  Those that
        a setting makes constants are in no place."""
        (first, last), end = (at[:2], at[2:]), at[:2]
        conditions = []
        for place in places + [[*last, *last]]:
            if not first <= place[:2] <= last:
                continue
            other = " ".join(self.between(*end, *place[:2]))
            while other != (less := ARGUMENTS.sub("", other)):
                other = less
            operators = len(re.findall(r"&&|\|\|", other))
            between = any(conditions) and place[:2] != list(last)
            conditions += [None] * (operators - between)
            conditions.append((name, place[0], place[1]))
            end = place[2:]
        conditions.pop()
        if not any(conditions):
            return             # all are macros with these settings
        if len(conditions) != len(alone):
            sys.exit(f"coverage: {name}: {self.text(at)}: {conditions}")
        for condition, one in zip(conditions, alone):
            if condition:
                self.decisions[condition] = self.text(at)
                self.alone[condition] |= one

    def missing(self):
        """Branches not taken: (function, condition, outcome, line)."""
        found = []
        for key, (true, false) in self.branches.items():
            if true == 0:
                found.append((key[0], self.texts[key], "true", key[1]))
            if false == 0:
                found.append((key[0], self.texts[key], "false", key[1]))
        return sorted(found, key=lambda branch: branch[3])

    def never_alone(self):
        """Conditions not seen to decide alone: as missing()."""
        return sorted(((key[0], self.texts[key], "alone", key[1])
                       for key, seen in self.alone.items() if not seen),
                      key=lambda condition: condition[3])

    def sums(self):
        taken = sum((true != 0) + (false != 0)
                    for true, false in self.branches.values())
        alone = self.alone.values()
        return [("lines", sum(n != 0 for n in self.lines.values()),
                 len(self.lines)),
                ("branches", taken, 2 * len(self.branches)),
                ("conditions that decide alone", sum(alone), len(alone))]


def argued():
    """The entries of the file: {(function, condition, outcome): line}."""
    entries = {}
    with open(ARGUED, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = re.match(r"(\w+): (.*): (true|false|alone)$", line.rstrip())
            if match:
                entries[match.groups()] = number
            elif line.strip() and not line.startswith(("#", "    ")):
                sys.exit(f"{ARGUED}:{number}: neither an outcome nor a reason")
    return entries


def is_argued(one, entries):
    """Whether there is an entry for it: as one outcome of a condition does not
    occur, it does not decide alone."""
    outcomes = OUTCOMES if one[2] == "alone" else one[2:3]
    return any((*one[:2], outcome) in entries for outcome in outcomes)


def report(coverage, programs_run, whole):
    for what, part, all_ in coverage.sums():
        if all_:
            print(f"{what}: {part} of {all_}, {100 * part / all_:.2f} %")
    for number in sorted(coverage.lines) if TAGS else []:
        if coverage.lines[number] == 0:
            print(f"{HEADER}:{number}: not run: "
                  + coverage.source[number - 1].strip())
    entries = argued()
    missing = coverage.missing()
    alone = coverage.never_alone()
    known = {(key[0], text, outcome) for key, text in coverage.texts.items()
             for outcome in OUTCOMES}
    stale = sorted(set(entries) - known)
    bare = []
    for what, found in (("branches", missing), ("conditions alone", alone)):
        new = [one for one in found if not is_argued(one, entries)]
        bare += new
        print(f"{what} that none of {programs_run} programs takes: "
              f"{len(found)}, of which argued: {len(found) - len(new)}")
    for name, condition, outcome, line in bare:
        print(f"{HEADER}:{line}: {name}: {condition}: {outcome}")
    for entry in stale if whole else []:
        print(f"{ARGUED}:{entries[entry]}: not in the header: "
              + ": ".join(entry))
    taken = set(entries) - {one[:3] for one in missing + alone} - set(stale)
    for entry in sorted(taken):
        print("argued, and taken this time: " + ": ".join(entry))
    return not bare and not (stale and whole)


def main():
    os.chdir(TOP)
    words = sys.argv[1:]
    where = os.path.join(os.environ.get("B", "build"), "coverage")
    os.makedirs(where, exist_ok=True)
    number, tools = find_clang()
    print(f"coverage: clang {number}, "
          + ("with" if number >= 18 else "too old for") + " MC/DC", flush=True)
    with open(os.path.join(where, "at_exit.c"), "w", encoding="utf-8") as file:
        file.write(AT_EXIT)
    with open(HEADER, encoding="utf-8") as source, \
            open(os.path.join(where, HEADER), "w", encoding="utf-8") as file:
        file.write(HINTS.sub(r"\1", source.read()))
    coverage = Coverage()
    chosen = programs(words)
    raw = []
    for program in chosen:
        print(f"coverage: {program[0]}", flush=True)
        raw += build(program, number, tools, where)
    profile = os.path.join(where, "all.profdata")
    subprocess.run([tools[1], "merge", "-o", profile, *raw], check=True,
                   stderr=subprocess.DEVNULL)
    for program in chosen:
        coverage.add(*export(program[0], profile, tools[2], where))
    if not report(coverage, len(chosen), not words and not TAGS):
        sys.exit(1)


main()
