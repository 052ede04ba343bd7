#!/usr/bin/env python3
"""mutants.py - whether the tests notice that one token of fpheap.h is another

    N=200 T=600 SEED=20261130 tests/mutants.py [WORD]

N mutants, chosen by SEED, or by the date, of the functions with WORD in their
names, for T seconds after about five minutes: an operator is replaced, a
constant is one more or one less, a call or an assignment is left out, a memory
order is weakened; but not what is the same by its form, as the smaller of two
equal numbers.  One header has them all: MUTANT in the environment chooses the
one that is in force.  So each test program is compiled once.  With none in force
each case, or input of a fuzz target, runs alone, and says which mutants it
meets; these cases then run for each mutant, until one fails or takes far longer
than usual, and passes again without the mutant.  Those that have killed another
of the function come first, then the quick ones.  Weakened orders also meet
ThreadSanitizer.  As many mutants are tried at a time as there are processors.

What survives is compiled by itself, as it would be written, with the settings of
each program.  If the code is the same, it is no mutant, or of settings that none
has.  Others must be argued in tests/mutants.txt:

    FUNCTION: LINE => LINE
        why no test can tell

with the line before and after, without comments and with single blanks, or
FUNCTION: * for all of a function.  The script fails if one is not argued.
Of orders the table in tests/README.md says what notices them, in all the time of
weaken.py or of GenMC, or that they are argued.

    tests/mutants.py --list           all mutants there are
    tests/mutants.py --only TEXT...   those of which the line in --list has one

With PROGRAMS=WORD only programs with WORD in their names are used, and with
TAG="SHARED VIEW" only mutants of these sections of the header.
"""
import bisect
import glob
import hashlib
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = "fpheap.h"
ARGUED = "tests/mutants.txt"
EDGES = "tests/README.md"
WHERE = os.path.join(os.environ.get("B", "build"), "mutants")
MUTANT = os.path.join(WHERE, HEADER)
CHOOSES = os.path.join(WHERE, "choose")
MET = os.path.join(WHERE, "met")
PASSED = (0, 77)
CHECK_2 = "-DFPHEAP_CHECK=2"
MISTAKES = ("free", "large", "scratch", "cut", "rewound", "ended", "behind",
            "shrunk", "beside")
SETTINGS = {"FPHEAP_SEED": "1", "TSAN_OPTIONS": "halt_on_error=1"}

# What chooses: in front of the header's first #include, and linked to each
# program, without its flags.
CHOICE = """
extern int   fph_mutant;
extern char *fph_mutants_met;
int fph_mutant_called(int number);
static inline int
fph_mutant_chosen(int number)
{
    fph_mutants_met[number] = 1;
    return fph_mutant == number;
}
#ifdef __SANITIZE_THREAD__
#  define fph_mutant_is(number) fph_mutant_called(number)
#else
#  define fph_mutant_is(number) fph_mutant_chosen(number)
#endif
"""
CHOOSER = """
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
static char  none_met[NUMBERS];
int   fph_mutant;
char *fph_mutants_met = none_met;
int
fph_mutant_called(int number)
{
    fph_mutants_met[number] = 1;
    return fph_mutant == number;
}
__attribute__((constructor)) static void
choose(void)
{
    const char *number = getenv("MUTANT"), *name = getenv("MUTANTS_MET");
    int         file = name == NULL ? -1 : open(name, O_RDWR);

    fph_mutant = number == NULL ? 0 : atoi(number);
    if (file < 0)
        return;
    fph_mutants_met = mmap(NULL, NUMBERS, PROT_READ | PROT_WRITE, MAP_SHARED,
                           file, 0);
    close(file);
}
"""
# A call that ends where its function does, not with a statement around it.
INSIDE = """fph_held fph_inside __attribute__((cleanup(fph_leave), unused))
        = fph_mutant_is({}) ? NULL : fph_enter("""
CHOSEN = re.compile(r"fph_mutant_is\((\d+)\)")
FIRST_INCLUDE = "#include <stddef.h>"

SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
         "+": "-", "-": "+", "+=": "-=", "-=": "+=", "&&": "||", "||": "&&",
         "&": "|", "|": "&", "<<": ">>", ">>": "<<"}
WEAKER = {"acquire": ["relaxed"], "release": ["relaxed"],
          "acq_rel": ["acquire", "release"], "seq_cst": ["relaxed"]}
SEQ_CST = {"load": "acquire", "store": "release", "cas": "acq_rel"}

# Arguments, named by a comment, of which is asked whether they are 0.
FLAG = re.compile(r"1 /\* (all|always|begins|clean|drain|forced|found|grow|keep|"
                  r"marked|retire|spare) \*/")


class Mutant:
    """One change: source[start:end] becomes text."""

    def __init__(self, code, line, function, start, end, text, kind, tag):
        self.line, self.function, self.tag = line, function, tag
        self.start, self.end, self.text, self.kind = start, end, text, kind
        first = code.rfind("\n", 0, start) + 1
        last = code.find("\n", end)
        self.before = " ".join(code[first:last].split())
        self.after = " ".join((code[first:start] + text
                               + code[end:last]).split())

    def apply(self, source):
        return source[:self.start] + self.text + source[self.end:]

    def choice(self, source, first, last, usual, number):
        """The usual text of source[first:last], or what is changed there if
        the number is chosen."""
        if self.text == ";" and usual.startswith("FPH_INSIDE("):
            return usual.replace("FPH_INSIDE(", INSIDE.format(number), 1)
        if self.text == ";":
            return (f"do {{ if (!fph_mutant_is({number})) {{ {usual} }} }}"
                    " while (0);")
        changed = (source[first:self.start] + self.text
                   + source[self.end:last])
        return f"(fph_mutant_is({number}) ? ({changed}) : ({usual}))"

    def argument(self):
        return f"{self.function}: {self.before} => {self.after}"

    def __str__(self):
        return f"{HEADER}:{self.line}: {self.argument()}"


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def without_comments(source):
    """The source with blanks in the place of comments."""
    return re.sub(r'("(?:\\.|[^"\\\n])*")|/\*.*?\*/|//[^\n]*',
                  lambda match: match.group(1) or blank(match), source,
                  flags=re.S)


def masked(code):
    """The same with texts and directives blank."""
    code = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'])\'', blank, code)
    return re.sub(r"(?m)^[ ]*#(?:[^\n]*\\\n)*[^\n]*$", blank, code)


def bodies(code):
    """(function, start, end) of each function."""
    for match in re.finditer(r"^(fph\w+)\([^;{}]*\)\n\{\n(.*?)^\}", code,
                             flags=re.S | re.M):
        yield match.group(1), match.start(2), match.end(2)


def replaced(code):
    """(start, end, text, kind) of each operator and constant."""
    for match in re.finditer(r"(?<=\s)(<<|>>|[<>=!]=|[-+]=|&&|\|\||[-<>+&|])"
                             r"(?=\s)", code):
        yield match.start(), match.end(), SWAPS[match.group()], "operator"
    for match in re.finditer(r"(?<=[\s(])!(?=[\w(])", code):
        yield match.start(), match.end(), "", "operator"
    for match in re.finditer(r"\+\+|--", code):
        yield (match.start(), match.end(),
               "--" if match.group() == "++" else "++", "operator")
    for match in re.finditer(r"(?<![\w.])(\d+)(?=u?\b)", code):
        number = int(match.group())
        if code[:match.start()].endswith("return ") and number == 1:
            yield match.start(), match.end(), "0", "constant"
            continue           # any other number is true as well
        yield match.start(), match.end(), str(number + 1), "constant"
        if number > 0:
            yield match.start(), match.end(), str(number - 1), "constant"


def dropped(code):
    """The same of each call and each assignment that is a statement."""
    begin = r"(?<=[;{})])\s*\n[ ]+|(?<=else)\s*\n[ ]+|(?<=do)\s*\n[ ]+"
    call = r"(?:\(void\))?(?!if\b|while\b|for\b|return\b|switch\b)" \
           r"[A-Za-z_]\w*(?:->\w+)*\([^;{}]*\);"
    assign = r"\*?[A-Za-z_][\w.]*(?:->[\w.]+|\[[^\]\n]*\])*" \
             r"(?: [-+|&^*]?= [^;{}]*|\+\+|--);"
    for match in re.finditer(rf"(?:{begin})({call}|{assign})(?=\s*\n)", code):
        kind = "call" if re.match(call, match.group(1)) else "assignment"
        yield match.start(1), match.end(1), ";", kind


def weakened(code):
    """The same of each memory order."""
    for match in re.finditer(r"\bfph_(load|store|cas|fetch_and|fetch_add)"
                             r"_(acquire|release|acq_rel|seq_cst)(?=\()", code):
        what, order = match.groups()
        weaker = list(WEAKER[order])
        if order == "seq_cst" and what in SEQ_CST:
            weaker.append(SEQ_CST[what])
        for order in weaker:
            yield match.start(2), match.end(2), order, "order"
    for match in re.finditer(r", (ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)\)", code):
        yield match.start(1), match.end(1), "RELAXED", "order"


def limits_alike(code, start, end):
    """Whether the comparison there chooses the smaller, or the greater, of what
    it compares: a ? b : c, or if (a) b = c."""
    before = " ".join(code[max(start - 200, 0):start].split())
    after = " ".join(code[end:end + 200].split())
    whole = r"(?:^|[(?:,=]|&&|\|\||return) ?{}$"
    choice = re.match(r"([^?;]+?) \? ([^?:;]+?) : ([^?:;]+?)[;,)]", after)
    if choice:
        right, *chosen = choice.groups()
    else:
        choice = re.match(r"([^;{}]+?)\) ([^;{}=]+?) = ([^;{}]+?);", after)
        if not choice:
            return False
        right, *chosen = choice.groups()
        whole = r"if \({}$"
    if right not in chosen:
        return False
    chosen.remove(right)
    return re.search(whole.format(re.escape(chosen[0])), before) is not None


def differs_by_nothing(code, start, end):
    """Whether the comparison there chooses a difference, or 0 instead, which it
    is when both are equal: a > b ? a - b : 0."""
    before = " ".join(code[max(start - 200, 0):start].split())
    after = " ".join(code[end:end + 200].split())
    choice = re.match(r"([^?;]+?) \? ([^?:;]+?) - ([^?:;]+?) : 0;", after)
    return choice is not None and choice.group(1) == choice.group(3) \
        and re.search(rf"(?:\W|^){re.escape(choice.group(2))}$",
                      before) is not None


def is_longer_array(code, start, end, change):
    """Whether an array of a function, that nobody asks for its size, has an
    element more."""
    line = code[code.rindex("\n", 0, start) + 1:code.index("\n", end)]
    array = re.fullmatch(r" +(?!return)(?:unsigned )?\w+ +(\w+)\[\d+\]; *", line)
    rest = code[end:code.index("\n}", end)]
    return array is not None and int(change) == int(code[start:end]) + 1 \
        and re.search(rf"sizeof\W+{array.group(1)}\b", rest) is None


def is_same(source, code, start, end, change):
    """Whether a change is none by what stands around it."""
    if code[start:end].isdigit():
        return change == "2" and FLAG.match(source, start) is not None \
            or is_longer_array(code, start, end, change)
    return code[start:end] in ("<", ">", "<=", ">=") \
        and (limits_alike(code, start, end)
             or differs_by_nothing(code, start, end))


def tag_of(source, at):
    """The section in which a place is."""
    start = source.rindex("\n/* [", 0, at) + 5
    return source[start:source.index("]", start)]


def mutants_of(source):
    text = without_comments(source)
    code = masked(text)
    ends = [match.end() for match in re.finditer("\n", source)]
    found = []
    for function, start, end in bodies(code):
        tag = tag_of(source, start)
        for way in (replaced, dropped, weakened):
            for first, last, change, kind in way(code[start:end]):
                first, last = start + first, start + last
                if is_same(source, code, first, last, change):
                    continue
                line = bisect.bisect(ends, first) + 1
                found.append(Mutant(text, line, function, first, last, change,
                                    kind, tag))
    return found


# --- all in one header ------------------------------------------------------

def begins_statement(code, at):
    """Whether a statement, and no more of an expression, begins in the line
    that begins there."""
    before = code[:at].rstrip()
    if before.endswith((";", "{", "}", "else")) or before.endswith("\n    do"):
        return True
    return before.endswith(")") \
        and not re.match(r"\s*[-+<>=!&|?:,*/%^]", code[at:at + 80])


def is_left_end(code, at):
    """Whether an expression that goes on to the left of a place ends there."""
    return code[at - 1] in ";{}," or code[:at].endswith("return") \
        or (code[at - 1] == "=" and code[at - 2] not in "=!<>"
            and code[at] != "=") \
        or (code[at - 1] == "\n" and begins_statement(code, at))


def expression_at(code, start, end):
    """The smallest expression, from a bracket, comma, or assignment to the
    next, that has what lies there."""
    first, depth = start, 0
    while depth > 0 or not (code[first - 1] in "(["
                            or is_left_end(code, first)):
        first -= 1
        depth += (code[first] in ")]") - (code[first] in "([")
    while code[first].isspace():
        first += 1
    last, depth = end, 0
    while depth > 0 or code[last] not in ";,})]":
        depth += (code[last] in "([") - (code[last] in ")]")
        last += 1
    return first, last


def call_around(code, at):
    """The call of which a place is in the arguments."""
    first, depth = at, 0
    while depth >= 0:
        first -= 1
        depth += (code[first] == ")") - (code[first] == "(")
    last, depth = first + 1, 1
    while depth > 0:
        depth += (code[last] == "(") - (code[last] == ")")
        last += 1
    return first - len(re.search(r"\w*$", code[:first]).group()), last


def place_of(code, mutant):
    """What is chosen from: a statement, a call, or an expression."""
    if mutant.text == ";":
        return mutant.start, mutant.end
    if mutant.text == "RELAXED":
        return call_around(code, mutant.start)
    return expression_at(code, mutant.start, mutant.end)


def rendered(source, first, last, places):
    """source[first:last] with the choices at these places, [(first, last,
    [(number, mutant)])], an outer one before those in it."""
    text, at, i = "", first, 0
    while i < len(places):
        start, end, choices = places[i]
        inner = i + 1
        while inner < len(places) and places[inner][0] < end:
            inner += 1
        usual = rendered(source, start, end, places[i + 1:inner])
        for number, mutant in choices:
            usual = mutant.choice(source, start, end, usual, number)
        text += source[at:start] + usual
        at, i = end, inner
    return text + source[at:last]


def header_of(source, sample, without=()):
    """The header with all mutants, numbered from 1, but for some."""
    code = masked(without_comments(source))
    choices = defaultdict(list)
    for number, mutant in enumerate(sample, 1):
        if number not in without:
            choices[place_of(code, mutant)].append((number, mutant))
    places = [(first, last, choices[first, last]) for first, last
              in sorted(choices, key=lambda place: (place[0], -place[1]))]
    at = source.index(FIRST_INCLUDE)
    return source[:at] + CHOICE + rendered(source, at, len(source), places)


def chosen_at(lines, column):
    """The number that is chosen just before a place of the last line, or in
    the statement there, or behind."""
    if re.match(r'"?\s*do \{', lines[-1][column - 1:]):
        return set(map(int, CHOSEN.findall(lines[-1][column:])[:1]))
    before = "\n".join([*lines[-6:-1], lines[-1][:column]])
    return set(map(int, CHOSEN.findall(before)[-1:]
                   or CHOSEN.findall(lines[-1])[:1]))


def misfits(output):
    """The numbers of those that are chosen where a compiler sees errors."""
    found, lines = set(), read(MUTANT).split("\n")
    for line, column in re.findall(HEADER + r":(\d+):(\d+): error", output):
        found |= chosen_at(lines[:int(line)], int(column))
    return found


# --- programs ---------------------------------------------------------------

def side_by_side(work, things):
    """work(thing) of all, as many at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return list(workers.map(work, things))


def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def bounded(command, seconds):
    """A mutant may ask for all there is, or run for ever."""
    return ["prlimit", "--core=0", f"--fsize={1 << 31}",
            f"--cpu={seconds}:{seconds + 1}", *command]


def run(command, limit=600, cpu=600, settings=None):
    """Exit status and output.  What runs longer than the limit, or takes more
    seconds of the processor, is killed, and the files that it left in memory
    are removed."""
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(bounded(command, cpu), stdin=subprocess.DEVNULL,
                              stdout=output, stderr=subprocess.STDOUT,
                              env=settings, start_new_session=True) as child:
            try:
                status = child.wait(timeout=limit)
            except subprocess.TimeoutExpired:
                status = -signal.SIGKILL
            try:
                os.killpg(child.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for left in glob.glob(f"/dev/shm/*-{child.pid}") \
                + glob.glob(f"/dev/shm/*-{child.pid}-*"):
            if os.path.isdir(left):
                shutil.rmtree(left)
            else:
                os.unlink(left)
        output.seek(0)
        return status, output.read().decode(errors="replace")


def find_source(name):
    places = [f"tests/{name}.c", f"tests/debug/{name}.c"]
    return next(filter(os.path.exists, places), places[0])


class Program:
    """A test program."""

    def __init__(self, name, *flags, kinds=None, cases=""):
        self.name, self.kinds, self.cases = name, kinds, cases
        self.source = find_source(name.split("+")[0])
        self.binary = os.path.join(WHERE, name)
        # PIC: how far behind a thread's table a mutant looks may be more than
        # a linker adds to its place.
        self.compiler = [*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11",
                         "-w", "-O1", "-fPIC", "-I" + WHERE, *flags]
        self.more = ["tests/filter.c", "tests/open_files.c", "-lcmocka",
                     "-pthread"]
        self.inputs = []
        if name.startswith("tools"):
            self.more = ["-pthread"]
            self.inputs = ["right", *MISTAKES[:9 if CHECK_2 in flags else 6]]
        if name.startswith("fuzz_"):
            self.more = ["-pthread"]
            target = name[5:].split("+")[0]
            self.inputs = sorted(glob.glob(f"tests/corpus/{target}/*"))
        self.code = None

    def settings(self):
        """What the header is compiled with."""
        text = read(self.source)
        for name in re.findall(r'#include "(\w+\.c)"', text):
            text += read(find_source(name[:-2]))
        return (*self.compiler, *sorted(re.findall(r"# *define FPHEAP_.*", text)))

    def compile(self):
        """With the header in WHERE; status and output."""
        return run([*self.compiler, self.source, CHOOSES + ".o", *self.more,
                    "-o", self.binary])

    def find_cases(self):
        if self.inputs:
            return [Case(self, one, "") for one in self.inputs]
        settings = dict(os.environ, FPHEAP_CASES=self.cases, **SETTINGS)
        status, output = run([self.binary], settings=settings)
        if status not in PASSED:
            print(f"mutants: {self.name} fails with the header as it is:\n"
                  + output)
        names = re.findall(r"^\[ RUN      \] (\w+)", output, flags=re.M)
        return [Case(self, "", name) for name in names]

    def code_with(self, header):
        """A hash of its code with a header."""
        write(MUTANT, header)
        run([*self.compiler, "-c", self.source, "-o", self.binary + ".o"])
        with open(self.binary + ".o", "rb") as file:
            return hashlib.sha256(file.read()).digest()

    def has_same_code(self, mutant, usual):
        if self.code is None:
            self.code = self.code_with(usual)
        return self.code_with(mutant.apply(usual)) == self.code


class Case:
    """A case of a program, or one of its inputs, and what is usual for it with
    the header as it is."""

    def __init__(self, program, argument, name):
        self.program = program
        self.command = [program.binary, *([argument] if argument else [])]
        self.settings = dict(os.environ, FPHEAP_CASES="=" + name if name else "",
                             **SETTINGS)
        self.name = f"{program.name}: {name or os.path.basename(argument)}"
        self.mistake = argument in MISTAKES
        self.seconds, self.cpu = 0.0, 0.0
        self.met = set()

    def passes(self, number, limit=600, cpu=600):
        """Whether it passes with a mutant, and whether it did not end."""
        status = run(self.command, limit, cpu,
                     dict(self.settings, MUTANT=str(number)))[0]
        return (status == 1 if self.mistake else status in PASSED,
                status == -signal.SIGKILL)

    def begin(self, numbers):
        """See how long it takes, and which mutants it meets; whether it
        passes alone."""
        write(MET, "\0" * numbers)
        self.settings["MUTANTS_MET"] = MET
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        passed, _ = self.passes(0)
        self.seconds = time.monotonic() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu = after.ru_utime + after.ru_stime \
            - before.ru_utime - before.ru_stime
        del self.settings["MUTANTS_MET"]
        self.met = {number for number, met in enumerate(read(MET))
                    if met != "\0"}
        return passed

    def kills(self, number):
        """Whether it fails with a mutant, and not without.  One that is late
        tries again for twice as long: others may use the machine."""
        limit, cpu = 15 + 20 * self.seconds, int(3 + 5 * self.cpu)
        passed, late = self.passes(number, limit, cpu)
        if late:
            passed, late = self.passes(number, 2 * limit, 2 * cpu)
        if passed or not self.passes(0)[0]:
            return ""
        return f" by {self.name}" + (" without an end" if late else "")


TSAN = ["-fsanitize=thread"]
ASAN = ["-fsanitize=address", "-DFPHEAP_IMPLEMENTATION=", "-include", MUTANT]
UBSAN = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
PROGRAMS = [
    Program("test_bulk"), Program("test_regressions"), Program("test_misuse"),
    Program("test_nodes"), Program("test_invariants"), Program("test_check"),
    Program("test_check2"), Program("test_sites"), Program("test_pool_check"),
    Program("test_check_headers"), Program("test_exhaustion"),
    Program("test_internals"), Program("test_magazines"),
    Program("test_misses"), Program("test_waits"), Program("test_prefill"),
    Program("test_prefill_check"), Program("test_mmap"), Program("test_thp"),
    Program("test_wide"),
    Program("test_pages"), Program("test_short"), Program("test_window"),
    Program("test_races_memory"), Program("test_races_regions"),
    Program("test_races_objects"),
    Program("test_panic"),
    Program("test_small"), Program("test_small_no_os"), Program("test_pools"),
    Program("test_pool_constructors"), Program("test_pool_limits"),
    Program("test_headers"), Program("test_tags"), Program("test_references"),
    Program("test_groups"), Program("test_groups_header"),
    Program("test_groups_check"), Program("test_group_check"),
    Program("test_stats"), Program("test_sizes"),
    Program("test_contents"), Program("test_large"), Program("test_provider"),
    Program("test_growth"), Program("test_hugepages"),
    Program("test_regions"), Program("test_records"),
    Program("test_callbacks"), Program("test_iova"), Program("test_ladder"),
    Program("test_water"), Program("test_children"),
    Program("test_children_header"), Program("test_children_check"),
    Program("test_shared"), Program("test_shared_header"),
    Program("test_shared_check"), Program("test_shared_small"),
    Program("test_shared_files"), Program("test_shared_opens"),
    Program("test_shared_handles"),
    Program("test_shared_members"), Program("test_shared_view"),
    Program("test_shared_view_header"),
    Program("test_shared_owners"), Program("test_shared_pains"),
    Program("test_shared_partition"), Program("test_shared_rebuild"),
    Program("fuzz_api"),
    Program("fuzz_api+headers", "-DFPHEAP_HEADER=1"), Program("fuzz_config"),
    Program("test_schedules"), Program("test_schedules_shared"),
    Program("stress_regressions"),
    Program("test_exhaustion+ubsan", *UBSAN),
    Program("test_headers+ubsan", *UBSAN), Program("test_tags+ubsan", *UBSAN),
    Program("test_references+ubsan", *UBSAN),
    Program("test_pools+ubsan", *UBSAN),
    Program("test_pool_constructors+ubsan", *UBSAN),
    Program("test_pool_limits+ubsan", *UBSAN),
    Program("test_check2+ubsan", *UBSAN),
    Program("test_check+asan", "-fsanitize=address", "-DFPHEAP_TOOL=0"),
    Program("tools+asan", *ASAN), Program("tools+check", *ASAN, CHECK_2),
    Program("test_schedules+tsan", *TSAN, kinds=["order"]),
    Program("test_schedules_shared+tsan", *TSAN, kinds=["order"]),
    Program("stress_refs+tsan", *TSAN, kinds=["order"], cases="argument"),
    Program("stress_owner+tsan", *TSAN, kinds=["order"], cases="trim"),
    Program("stress_pools+tsan", *TSAN, kinds=["order"], cases="one_name"),
]
PROGRAMS = [program for program in PROGRAMS
            if os.environ.get("PROGRAMS", "") in program.name]


class Trial:
    """Mutants and what became of them."""

    def __init__(self, source):
        self.source = source
        self.cases = []
        self.misfits = set()                    # numbers
        self.ends = defaultdict(Counter)        # per kind
        self.killers = defaultdict(Counter)     # per function
        self.argued = argued()
        self.edges = edges()
        self.survivors = []
        self.compiles, self.tells = threading.Lock(), threading.Lock()

    def compile(self, sample):
        """Compile all programs, but without what does not compile."""
        write(CHOOSES + ".c",
              CHOOSER.replace("NUMBERS", str(len(sample) + 1)))
        run(["cc", "-O2", "-c", CHOOSES + ".c", "-o", CHOOSES + ".o"])
        write(MUTANT, header_of(self.source, sample))
        self.fit(PROGRAMS[0], sample)
        done = side_by_side(Program.compile, PROGRAMS[1:])
        for program, (status, _) in zip(PROGRAMS[1:], done):
            if status != 0:
                self.fit(program, sample)

    def fit(self, program, sample):
        """Compile a program, but without what does not compile."""
        status, output = program.compile()
        while status != 0:
            more = misfits(output) - self.misfits
            if not more:
                sys.exit(f"mutants: {program.source}: {output}")
            self.misfits |= more
            write(MUTANT, header_of(self.source, sample, self.misfits))
            status, output = program.compile()

    def begin(self, sample):
        """Compile all, and run all cases without a mutant."""
        self.compile(sample)
        for program in PROGRAMS:
            for case in program.find_cases():
                if case.begin(len(sample) + 1):
                    self.cases.append(case)
                else:
                    print(f"mutants: left out, as it fails alone: {case.name}")
        print(f"mutants: {len(self.misfits)} do not compile; "
              f"{len(self.cases)} cases take "
              f"{sum(case.seconds for case in self.cases):.1f} s", flush=True)

    def order(self, number, mutant):
        """The cases that meet a mutant."""
        kills = self.killers[mutant.function]
        return sorted((case for case in self.cases if number in case.met
                       and mutant.kind in (case.program.kinds or [mutant.kind])),
                      key=lambda case: (-kills[case.name], case.seconds))

    def fate(self, number, mutant):
        """killed by a case, argued, same code, or survived"""
        cases = self.order(number, mutant)
        for case in cases:
            how = case.kills(number)
            if how:
                with self.tells:
                    self.killers[mutant.function][case.name] += 1
                return "killed", how
        if {mutant.argument(), mutant.function + ": *"} & self.argued:
            return "argued", ""
        if mutant.kind == "order" and mutant.function in self.edges:
            return "argued", " in " + EDGES
        meet = {case.program.name for case in cases}
        programs = sorted((program for program in PROGRAMS if mutant.kind
                           in (program.kinds or [mutant.kind])),
                          key=lambda program: program.name not in meet)
        differ = {}
        for program in programs:
            differ.setdefault(program.settings(), program)
        with self.compiles:
            same = all(program.has_same_code(mutant, self.source)
                       for program in differ.values())
        if same:
            return "same code", ""
        return "survived", f" ({len(cases)} cases)"

    def add(self, number, mutant, ends):
        """Try a mutant, if there is time."""
        if number in self.misfits or time.monotonic() >= ends:
            return
        end, more = self.fate(number, mutant)
        with self.tells:
            self.ends[mutant.kind][end] += 1
            if end == "survived":
                self.survivors.append(mutant)
            print(f"{end:9} {mutant}{more}", flush=True)

    def report(self):
        for mutant in self.survivors:
            print(f"survived: {mutant}")
        total = sum(self.ends.values(), Counter())
        for kind, ends in [*sorted(self.ends.items()), ("mutants", total)]:
            print(f"{kind}: {sum(ends.values())} tried, "
                  + ", ".join(f"{n} {end}" for end, n in sorted(ends.items())))
        killed, bare = total["killed"], total["survived"]
        left = killed + bare
        if left:
            print(f"mutants: {killed} of {left} killed, "
                  f"{100 * killed / left:.1f} % (with those argued "
                  f"{100 * killed / (left + total['argued']):.1f} %)")
        return bare == 0


def argued():
    """The first lines of the file's entries."""
    if not os.path.exists(ARGUED):
        return set()
    return {line.rstrip() for line in read(ARGUED).split("\n")
            if re.match(r"\w+: ", line)}


def edges():
    """The functions with orders of which the table says what notices them."""
    return set(re.findall(r"^\| [A-Z0-9, ]+ `(\w+)`, \w+ \| ", read(EDGES),
                          flags=re.M))


def chosen(mutants, seed):
    """Those that the arguments and TAG name, in the order of the seed, which
    depends on no other mutant."""
    arguments = sys.argv[1:]
    tags = os.environ.get("TAG", "").split()
    if tags:
        mutants = [m for m in mutants if m.tag in tags]
    if arguments[:1] == ["--only"]:
        return [m for m in mutants
                if any(text in str(m) for text in arguments[1:])]
    found = [m for m in mutants
             if not arguments or arguments[0] in m.function]
    return sorted(found, key=lambda m: hashlib.sha256(
        f"{seed} {m.kind} {m.argument()}".encode()).digest())


def main():
    os.chdir(TOP)
    source = read(HEADER)
    mutants = mutants_of(source)
    if sys.argv[1:] == ["--list"]:
        for mutant in mutants:
            print(mutant)
        return
    known = {mutant.argument() for mutant in mutants}
    for entry in sorted(argued() - known):
        if not entry.endswith(": *"):
            print(f"{ARGUED}: there is no such mutant: {entry}")
    os.makedirs(WHERE, exist_ok=True)
    seed = os.environ.get("SEED") or time.strftime("%Y%m%d", time.gmtime())
    sample = chosen(mutants, seed)[:int(os.environ.get("N") or 200)]
    print(f"mutants: {len(sample)} of {len(mutants)}, SEED={seed}", flush=True)
    trial = Trial(source)
    trial.begin(sample)
    ends = time.monotonic() + float(os.environ.get("T") or 600)
    side_by_side(lambda one: trial.add(*one, ends), enumerate(sample, 1))
    if not trial.report():
        sys.exit(1)


main()
