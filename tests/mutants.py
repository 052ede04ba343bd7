#!/usr/bin/env python3
"""mutants.py - whether the tests notice that one token of fpheap.h is another

    N=200 T=600 SEED=1 tests/mutants.py [WORD]

N mutants, chosen by SEED, of the functions with WORD in their names, for about
T seconds: an operator is replaced, a constant is one more or one less, a call
or an assignment is left out, a memory order is weakened.  One header has them
all: a variable that MUTANT in the environment sets chooses the one that is in
force.  So each test program is compiled once, and run for each mutant until one
fails, or takes far longer than usual.  A program that has killed another mutant
of the function comes first.  Weakened orders also meet ThreadSanitizer.

What survives is compiled by itself, as it would be written.  If no program's
code is another then, it is no mutant, or of settings that none has.  Others
must be argued in tests/mutants.txt:

    FUNCTION: LINE => LINE
        why no test can tell

with the line before and after, without comments and with single blanks, or
FUNCTION: * for all of a function.  The script fails if one is not argued.

    tests/mutants.py --list           all mutants there are
    tests/mutants.py --only TEXT...   those of which the line in --list has one

With PROGRAMS=WORD only programs with WORD in their names are used.
"""
import bisect
import glob
import hashlib
import os
import random
import re
import resource
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEADER = "fpheap.h"
ARGUED = "tests/mutants.txt"
WHERE = os.path.join(os.environ.get("B", "build"), "mutants")
MUTANT = os.path.join(WHERE, HEADER)

# What chooses, in front of the header's first #include.
CHOICE = """
#include <stdlib.h>
static int fph_mutant;
__attribute__((constructor, unused)) static void
fph_mutant_choose(void)
{
    const char *number = getenv("MUTANT");

    fph_mutant = number == NULL ? 0 : atoi(number);
}
"""
FIRST_INCLUDE = "#include <stddef.h>"

SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
         "+": "-", "-": "+", "+=": "-=", "-=": "+=", "&&": "||", "||": "&&",
         "&": "|", "|": "&", "<<": ">>", ">>": "<<"}
WEAKER = {"acquire": ["relaxed"], "release": ["relaxed"],
          "acq_rel": ["acquire", "release"], "seq_cst": ["relaxed"]}
SEQ_CST = {"load": "acquire", "store": "release", "cas": "acq_rel"}


class Mutant:
    """One change: source[start:end] becomes text."""

    def __init__(self, code, line, function, start, end, text, kind):
        self.line, self.function = line, function
        self.start, self.end, self.text, self.kind = start, end, text, kind
        first = code.rfind("\n", 0, start) + 1
        last = code.find("\n", end)
        self.before = " ".join(code[first:last].split())
        self.after = " ".join((code[first:start] + text
                               + code[end:last]).split())

    def apply(self, source):
        return source[:self.start] + self.text + source[self.end:]

    def choice(self, source, first, last, number):
        """source[first:last] as it is, or changed if the number is chosen."""
        usual = source[first:last]
        if self.text == ";":
            return (f"do {{ if (fph_mutant != {number}) {{ {usual} }} }}"
                    " while (0);")
        changed = (source[first:self.start] + self.text
                   + source[self.end:last])
        return f"(fph_mutant == {number} ? ({changed}) : ({usual}))"

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


def mutants_of(source):
    text = without_comments(source)
    code = masked(text)
    ends = [match.end() for match in re.finditer("\n", source)]
    found = []
    for function, start, end in bodies(code):
        for way in (replaced, dropped, weakened):
            for first, last, change, kind in way(code[start:end]):
                line = bisect.bisect(ends, start + first) + 1
                found.append(Mutant(text, line, function, start + first,
                                    start + last, change, kind))
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


def sample_of(code, mutants, n):
    """The first n that do not overlap: [(mutant, first, last)]."""
    sample, ends = [], []
    for mutant in mutants:
        first, last = place_of(code, mutant)
        if len(sample) == n:
            break
        if all(last <= a or b <= first for a, b in ends):
            ends.append((first, last))
            sample.append((mutant, first, last))
    return sample


def header_of(source, sample, without=()):
    """The header with all of a sample, and the numbers in each line of it."""
    numbered = sorted(enumerate(sample, 1), key=lambda item: -item[1][1])
    for number, (mutant, first, last) in numbered:
        if number not in without:
            source = (source[:first]
                      + mutant.choice(source, first, last, number)
                      + source[last:])
    at = source.index(FIRST_INCLUDE)
    return source[:at] + CHOICE + source[at:]


def misfits(source, sample, programs):
    """The numbers of those that do not compile."""
    found, more = set(), {0}
    while more:
        text = header_of(source, sample, found)
        write(MUTANT, text)
        lines, more = text.split("\n"), set()
        for program in programs:
            for at in re.findall(HEADER + r":(\d+):\d+: error",
                                 program.errors()):
                nearby = "\n".join(lines[max(0, int(at) - 6):int(at) + 1])
                more |= set(map(int, re.findall(r"fph_mutant [!=]= (\d+)",
                                                lines[int(at) - 1])
                                or re.findall(r"fph_mutant [!=]= (\d+)",
                                              nearby)))
        more -= found
        found |= more
    return found


# --- programs ---------------------------------------------------------------

def read(name):
    with open(name, encoding="utf-8") as file:
        return file.read()


def write(name, text):
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)


def bound():
    """A mutant may ask for all there is."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))


def run(command, limit=600, settings=None):
    """Exit status and output; the status of what takes too long is 124."""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, preexec_fn=bound,
                          env=settings) as child:
        try:
            output = child.communicate(timeout=limit)[0]
            return child.returncode, output
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return 124, b""


class Program:
    """A test program, and what is usual for it with the header as it is."""

    def __init__(self, name, *flags, kinds=None, cases=""):
        self.name, self.kinds = name, kinds
        self.settings = dict(os.environ, SCHEDULE_SECONDS="1",
                             FPHEAP_CASES=cases)
        self.source = f"tests/{name.split('+')[0]}.c"
        self.binary = os.path.join(WHERE, name)
        self.compiler = [*shlex.split(os.environ.get("CC", "cc")), "-std=gnu11",
                         "-w", "-O1", "-I" + WHERE, *flags]
        self.more = ["tests/filter.c", "-lcmocka", "-pthread"]
        self.arguments = []
        if name.startswith("fuzz_"):
            self.more = ["-pthread"]
            self.arguments = sorted(glob.glob(f"tests/corpus/{name[5:]}/*"))
        self.code = None
        self.seconds = 0.0

    def errors(self):
        return run([*self.compiler, "-fsyntax-only", self.source])[1].decode()

    def passes(self, number, limit):
        return run([self.binary, *self.arguments], limit,
                   dict(self.settings, MUTANT=str(number)))[0] in (0, 77)

    def begin(self):
        """Compile it with the header in WHERE, and see how long it takes."""
        status, output = run([*self.compiler, self.source, *self.more, "-o",
                              self.binary])
        if status != 0:
            sys.exit(f"mutants: {self.source}: {output.decode()}")
        began = time.monotonic()
        if not self.passes(0, 600):
            sys.exit(f"mutants: {self.name} fails with the header as it is")
        self.seconds = time.monotonic() - began

    def kills(self, number):
        return not self.passes(number, 5 + 5 * self.seconds)

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


# Those that notice most in the least time.
PROGRAMS = [
    Program("test_bulk"), Program("test_regressions"), Program("test_misuse"),
    Program("test_nodes"), Program("test_invariants"), Program("test_check"),
    Program("test_check2"), Program("test_sites"), Program("test_pool_check"),
    Program("test_check_headers"), Program("test_rare"), Program("test_panic"),
    Program("test_small"), Program("test_small_no_os"), Program("test_pools"),
    Program("test_headers"), Program("test_stats"), Program("fuzz_api"),
    Program("fuzz_config"), Program("test_schedules"),
    Program("stress_owner+tsan", "-O1", "-fsanitize=thread", kinds=["order"],
            cases="trim"),
    Program("stress_pools+tsan", "-O1", "-fsanitize=thread", kinds=["order"],
            cases="one_name"),
]
PROGRAMS = [program for program in PROGRAMS
            if os.environ.get("PROGRAMS", "") in program.name]


class Trial:
    """Mutants and what became of them."""

    def __init__(self, source):
        self.source = source
        self.ends = Counter()
        self.killers = defaultdict(Counter)     # per function
        self.argued = argued()

    def order(self, mutant):
        kills = self.killers[mutant.function]
        return sorted((p for p in PROGRAMS
                       if p.kinds is None or mutant.kind in p.kinds),
                      key=lambda p: (-kills[p.name], p.seconds))

    def fate(self, number, mutant):
        """killed by a program, argued, same code, or survived"""
        programs = self.order(mutant)
        for program in programs:
            if program.kills(number):
                self.killers[mutant.function][program.name] += 1
                return "killed", f" by {program.name}"
        if {mutant.argument(), mutant.function + ": *"} & self.argued:
            return "argued", ""
        if all(program.has_same_code(mutant, self.source)
               for program in programs):
            return "same code", ""
        return "survived", ""

    def add(self, number, mutant):
        end, by = self.fate(number, mutant)
        self.ends[end] += 1
        print(f"{end:9} {mutant}{by}", flush=True)

    def report(self):
        killed, bare = self.ends["killed"], self.ends["survived"]
        left = killed + bare
        print(f"mutants: {sum(self.ends.values())} tried, "
              + ", ".join(f"{n} {end}" for end, n in sorted(self.ends.items())))
        if left:
            print(f"mutants: {killed} of {left} killed, "
                  f"{100 * killed / left:.1f} % (with those argued "
                  f"{100 * killed / (left + self.ends['argued']):.1f} %)")
        return bare == 0


def argued():
    """The first lines of the file's entries."""
    if not os.path.exists(ARGUED):
        return set()
    return {line.rstrip() for line in read(ARGUED).split("\n")
            if re.match(r"\w+: ", line)}


def chosen(mutants):
    """A sample of those that the arguments name."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--only"]:
        return [m for m in mutants
                if any(text in str(m) for text in arguments[1:])]
    found = [m for m in mutants
             if not arguments or arguments[0] in m.function]
    random.Random(int(os.environ.get("SEED", "1"))).shuffle(found)
    return found


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
    sample = sample_of(masked(without_comments(source)), chosen(mutants),
                       int(os.environ.get("N") or 200))
    without = misfits(source, sample, [p for p in PROGRAMS if not p.kinds])
    print(f"mutants: {len(sample)} of {len(mutants)}, {len(without)} do not "
          "compile", flush=True)
    for program in PROGRAMS:
        program.begin()
    print(f"mutants: the programs take {sum(p.seconds for p in PROGRAMS):.1f} "
          "s", flush=True)
    trial = Trial(source)
    ends = time.monotonic() + float(os.environ.get("T") or 600)
    for number, (mutant, _, _) in enumerate(sample, 1):
        if time.monotonic() >= ends:
            break
        if number not in without:
            trial.add(number, mutant)
    if not trial.report():
        sys.exit(1)


main()
