#!/usr/bin/env python3
"""mutants.py - whether the tests notice that one token of fpheap.h is another

    N=200 T=600 SEED=1 tests/mutants.py [WORD]

N mutants, chosen by SEED, of the functions with WORD in their names, for about
T seconds: an operator is replaced, a constant is one more or one less, a call
or an assignment is left out, a memory order is weakened.  Each is compiled into
test programs that run one after the other; the first that fails, or takes far
longer than usual, kills it.  A program that has killed another mutant of the
function comes first.  Weakened orders also meet ThreadSanitizer.

What survives is compiled with -O1.  If no program's code is another then, it is
no mutant.  Others must be argued in tests/mutants.txt:

    FUNCTION: LINE => LINE
        why no test can tell

with the line before and after, without comments and with single blanks, or
FUNCTION: * for all of a function.  The script fails if a survivor is not argued.

    tests/mutants.py --list        all mutants there are
    tests/mutants.py --only TEXT   those of which the line in --list has TEXT

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
        self.conditional = False
        first = code.rfind("\n", 0, start) + 1
        last = code.find("\n", end)
        self.before = " ".join(code[first:last].split())
        self.after = " ".join((code[first:start] + text
                               + code[end:last]).split())

    def apply(self, source):
        return source[:self.start] + self.text + source[self.end:]

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


def conditional(source):
    """The numbers of lines that not every program's settings leave in."""
    depth, lines = 0, set()
    for number, line in enumerate(source.split("\n"), 1):
        match = re.match(r" *# *(if|endif)", line)
        if match:
            depth += 1 if match.group(1) == "if" else -1
        if depth > 1:          # within the guard, or the implementation's
            lines.add(number)
    return lines


def mutants_of(source):
    text = without_comments(source)
    code = masked(text)
    ends = [match.end() for match in re.finditer("\n", source)]
    lines = conditional(source)
    found = []
    for function, start, end in bodies(code):
        for way in (replaced, dropped, weakened):
            for first, last, change, kind in way(code[start:end]):
                line = bisect.bisect(ends, start + first) + 1
                found.append(Mutant(text, line, function, start + first,
                                    start + last, change, kind))
                found[-1].conditional = line in lines
    return found


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
                         "-w", "-I" + WHERE, *flags]
        self.more = ["tests/filter.c", "-lcmocka", "-pthread"]
        self.arguments = []
        if name.startswith("fuzz_"):
            self.more = ["-pthread"]
            self.arguments = sorted(glob.glob(
                f"tests/corpus/{name.split('+')[0][5:]}/*"))
        self.text = self.code = None
        self.seconds = 0.0

    def preprocessed(self):
        return run([*self.compiler, "-E", "-P", self.source])[1]

    def build(self, *more):
        return run([*self.compiler, *more, self.source, *self.more,
                    "-o", self.binary])[0] == 0

    def passes(self, limit):
        return run([self.binary, *self.arguments], limit,
                   self.settings)[0] in (0, 77)

    def optimised(self):
        """A hash of its code with -O1."""
        run([*self.compiler, "-O1", "-c", self.source, "-o",
             self.binary + ".o"])
        with open(self.binary + ".o", "rb") as file:
            return hashlib.sha256(file.read()).digest()

    def learn(self):
        """What is usual; the header in WHERE is as it is."""
        self.text = self.preprocessed()
        began = time.monotonic()
        if not self.build():
            sys.exit(f"mutants: {self.source} does not compile")
        if not self.passes(600):
            sys.exit(f"mutants: {self.name} fails with the header as it is")
        self.seconds = time.monotonic() - began

    def sees(self, mutant):
        """Whether its settings leave the mutant's line in."""
        return not mutant.conditional or self.preprocessed() != self.text

    def kills(self):
        """Whether it notices the mutant in WHERE; None: that does not
        compile."""
        if not self.build():
            return None
        return not self.passes(5 + 5 * self.seconds)

    def has_same_code(self, usual):
        """Whether -O1 makes the same of it as of the header as it is."""
        if self.code is None:
            mutant = read(MUTANT)
            write(MUTANT, usual)
            self.code = self.optimised()
            write(MUTANT, mutant)
        return self.optimised() == self.code


# Those that notice most in the least time.
PROGRAMS = [
    Program("test_bulk"), Program("test_regressions"), Program("test_misuse"),
    Program("test_nodes"), Program("test_invariants"), Program("test_check"),
    Program("test_check2"), Program("test_sites"), Program("test_pool_check"),
    Program("test_rare"),
    Program("test_small"), Program("test_pools"), Program("test_headers"),
    Program("test_stats"), Program("fuzz_api"), Program("fuzz_config"),
    Program("test_schedules"),
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

    def fate(self, mutant):
        """killed by a program, broken (it does not compile), unseen (by the
        settings of the programs), argued, same code, or survived"""
        write(MUTANT, mutant.apply(self.source))
        seen = []
        for program in self.order(mutant):
            if not program.sees(mutant):
                continue
            seen.append(program)
            killed = program.kills()
            if killed is None:
                return "broken", ""
            if killed:
                self.killers[mutant.function][program.name] += 1
                return "killed", f" by {program.name}"
        if {mutant.argument(), mutant.function + ": *"} & self.argued:
            return "argued", ""
        if not seen:
            return "unseen", ""
        if all(program.has_same_code(self.source) for program in seen):
            return "same code", ""
        return "survived", ""

    def add(self, mutant):
        end, by = self.fate(mutant)
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
        return [m for m in mutants if arguments[1] in str(m)]
    found = [m for m in mutants
             if not arguments or arguments[0] in m.function]
    random.Random(int(os.environ.get("SEED", "1"))).shuffle(found)
    return found[:int(os.environ.get("N") or 200)]


def main():
    os.chdir(TOP)
    source = read(HEADER)
    mutants = mutants_of(source)
    if sys.argv[1:] == ["--list"]:
        for mutant in mutants:
            print(mutant)
        return
    os.makedirs(WHERE, exist_ok=True)
    write(MUTANT, source)
    for program in PROGRAMS:
        program.learn()
    sample = chosen(mutants)
    print(f"mutants: {len(sample)} of {len(mutants)}; the programs take "
          f"{sum(p.seconds for p in PROGRAMS):.1f} s", flush=True)
    trial = Trial(source)
    ends = time.monotonic() + float(os.environ.get("T") or 600)
    for mutant in sample:
        if time.monotonic() >= ends:
            break
        trial.add(mutant)
    if not trial.report():
        sys.exit(1)


main()
