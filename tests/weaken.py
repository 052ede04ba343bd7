#!/usr/bin/env python3
"""weaken.py - whether each memory order of fpheap.h is needed

    SECONDS=20 tests/weaken.py [WORD]...

Each operation with an order is made one step weaker, in every way there is:
seq_cst becomes acq_rel, or what of that a load or a store can have, acq_rel
becomes acquire or release, these become relaxed, and so does a compare-and-swap's
second order by itself.  The schedules' programs look for a run that fails, for
SECONDS in scenes that come to the operation, and run the schedule that they found
once more, with the order as it is and without.  What is not found must be argued
in tests/weaken.txt:

    LABELS, FUNCTION, WHAT: ORDER => WEAKER
        why nobody can tell

With WORDs only operations whose names have one of them are tried.  JOBS (2) run
at a time.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structure

TOP = Path(__file__).parent.parent
ARGUED = TOP / "tests" / "weaken.txt"
PROGRAMS = ("test_schedules", "test_schedules_header", "test_schedules_check",
            "test_schedules_shared")
STEP = {"seq_cst": ["acq_rel"], "acq_rel": ["acquire", "release"],
        "acquire": ["relaxed"], "release": ["relaxed"]}
ORDER = r"(RELAXED|ACQUIRE|RELEASE|ACQ_REL|SEQ_CST)"
HALF = {"load": {"acq_rel": "acquire"}, "store": {"acq_rel": "release"}}
SECOND = ("acq_rel",)      # of the fph_cas_ those with another when they fail
NAME = re.compile(r"\bfph_(load|store|cas|fetch_\w+?)_(acquire|release|acq_rel"
                  r"|seq_cst)\(|\bFPH_(LOAD|STORE|FETCH_ADD|CAS_PTR|CAS)\(")

# Which order is weaker: in front of the header, and what it calls.
CHOICE = r"""
#ifndef CHOICE_H
#define CHOICE_H
/* Where threads come to an operation whose word they share, is what is sought. */
extern unsigned      weaken_which;
extern unsigned char weaken_met[];
extern __thread unsigned weaken_next[8], weaken_n; /* of the next access */
int weaken_meets(const char *scene);
__attribute__((no_sanitize_thread)) static inline int
weaken_is(unsigned which)
{
    weaken_next[weaken_n++ % 8] = which;
    return weaken_which == which;
}
__attribute__((no_sanitize_thread)) static inline void
weaken_comes(int shared)
{
    while (weaken_n > 0)
        weaken_met[weaken_next[--weaken_n % 8]] |= shared != 0;
}
#define SCHEDULE_MEETS(scene)  weaken_meets(scene)
#define SCHEDULE_COMES(shared) weaken_comes(shared)
#endif
"""
CHOSEN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
unsigned      weaken_which;
unsigned char weaken_met[1000];
__thread unsigned weaken_next[8], weaken_n;
int
weaken_meets(const char *scene)
{
    unsigned i;

    if (getenv("WEAKEN_MEETS") == NULL)
        return 1;
    printf("MEETS %s:", scene);
    for (i = 0; i < sizeof weaken_met; i++)
        if (weaken_met[i])
            printf(" %u", i);
    printf("\n");
    memset(weaken_met, 0, sizeof weaken_met);
    return 0;
}
__attribute__((constructor)) static void
choose(void)
{
    const char *text = getenv("WEAKEN");

    weaken_which = text != NULL ? (unsigned)atoi(text) : 0;
}
"""
# Operations that the header has not.
MORE = r"""
#define WEAKEN_CAS(name, order, failure)                                     \
    FPH_UNUSED static inline int                                             \
    weaken_cas_##name(fph_word *p, uint64_t *expected, uint64_t desired)     \
    {                                                                        \
        return FPH_CAS(p, expected, desired, order, failure);                \
    }
#define FPH_UNUSED __attribute__((unused))
WEAKEN_CAS(acquire_to_relaxed, RELAXED, RELAXED)
WEAKEN_CAS(release_to_relaxed, RELAXED, RELAXED)
WEAKEN_CAS(acq_rel_to_acquire, ACQUIRE, ACQUIRE)
WEAKEN_CAS(acq_rel_to_release, RELEASE, ACQUIRE)
WEAKEN_CAS(acq_rel_second, ACQ_REL, RELAXED)
WEAKEN_CAS(seq_cst_to_acq_rel, ACQ_REL, RELAXED)
#define WEAKEN_FETCH(what, name, order)                                      \
    FPH_UNUSED static inline uint64_t                                        \
    weaken_fetch_##what##_##name(fph_word *p, uint64_t v)                    \
    {                                                                        \
        return __atomic_fetch_##what(p, v, __ATOMIC_##order);                \
    }
WEAKEN_FETCH(add, acq_rel, ACQ_REL)
WEAKEN_FETCH(add, acquire, ACQUIRE)
WEAKEN_FETCH(add, release, RELEASE)
WEAKEN_FETCH(add, relaxed, RELAXED)
WEAKEN_FETCH(or, relaxed, RELAXED)
WEAKEN_FETCH(and, relaxed, RELAXED)
"""


def of_function(what, order, arguments):
    """Of fph_WHAT_ORDER(arguments."""
    for weaker in STEP[order]:
        weaker = HALF.get(what, {}).get(weaker, weaker)
        call = f"weaken_cas_{order}_to_{weaker}" if what == "cas" \
            else f"weaken_{what}_{weaker}" if what.startswith("fetch") \
            else f"fph_{what}_{weaker}"
        yield f"{order} => {weaker}", f"{call}({arguments}"
    if what == "cas" and order in SECOND:
        yield f"{order}, second => relaxed", f"weaken_cas_{order}_second({arguments}"


def of_macro(what, arguments):
    """Of FPH_WHAT(arguments, which end with the order, or with two."""
    match = re.fullmatch(rf"(?s)(.*?\b){ORDER}(?:(,\s*){ORDER})?\)", arguments)
    front, order, comma, second = match.groups()
    end = f"{comma}{second})" if second else ")"
    for weaker in STEP.get(order.lower(), ()):
        weaker = HALF.get(what.lower(), {}).get(weaker, weaker)
        yield (f"{order.lower()} => {weaker}",
               f"FPH_{what}({front}{weaker.upper()}{end}")
    if second and second != "RELAXED":
        yield (f"{order.lower()}, second => relaxed",
               f"FPH_{what}({front}{order}{comma}RELAXED)")


def sites(header):
    """(start, end, name, ways) of each operation with an order."""
    labels = structure.labels_at(header)
    for function, places in header.bodies.items():
        for start, end in places:
            for match in NAME.finditer(header.code, start, end):
                last = structure.closing(header.code, match.end())
                arguments = header.code[match.end():last]
                lines = range(header.line(match.start()), header.line(last - 1) + 1)
                name = ", ".join(label for line in lines
                                 for label in labels.get(line, []))
                what, order, macro = match.groups()
                yield (match.start(), last,
                       f"{name}, {function}, {(what or macro).lower()}",
                       list(of_macro(macro, arguments) if macro
                            else of_function(what, order, arguments)))


def weakened(header):
    """The text with all ways in it, and their names by number."""
    text, names = header.source, {}
    for start, end, name, ways in sorted(sites(header), reverse=True):
        strong = text[start:end]
        for way, weak in ways:
            number = len(names) + 1
            names[number] = (header.line(start), f"{name}: {way}")
            strong = f"(weaken_is({number}u) ? {weak} : {strong})"
        text = text[:start] + strong + text[end:]
    at = text.index("/* The same for other types, where the caller has seen")
    return text[:at] + MORE + text[at:], names


def meetings(program):
    """number: the scenes in which a thread comes to that operation"""
    found = defaultdict(list)
    text = subprocess.run([program], env={**os.environ, "WEAKEN_MEETS": "1",
                                          "SCHEDULE_SECONDS": "40"}, text=True,
                          capture_output=True).stdout
    for scene, numbers in re.findall(r"^MEETS (.*):(.*)$", text, re.M):
        if scene.count("+") < 2:
            for number in numbers.split():
                found[int(number)].append(scene)
    return found


def compiled(scratch):
    """The programs that there are."""
    compiler = os.environ.get("CC", "gcc")
    flags = [compiler, "-std=gnu11", "-O2", "-w", "-DSCHEDULE_RACES=1",
             f"-I{scratch}", "-I.", "-Itests"]
    (scratch / "choice.h").write_text(CHOICE)
    (scratch / "chosen.c").write_text(CHOSEN)

    def compile_one(program):
        subprocess.run([*flags, "-fsanitize=thread", "-include", scratch / "choice.h",
                        "-c", f"tests/{program}.c", "-o", scratch / f"{program}.o"],
                       check=True)
        subprocess.run([*flags, scratch / f"{program}.o", scratch / "chosen.c",
                        "tests/schedule_hooks.c", "tests/filter.c", "-o",
                        scratch / program, "-lcmocka", "-pthread", "-ldl"],
                       check=True)
    programs = [one for one in PROGRAMS if (TOP / "tests" / f"{one}.c").exists()]
    with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
        list(pool.map(compile_one, programs))
    return {scratch / program: meetings(scratch / program)
            for program in programs}


def run(program, seconds, **settings):
    """What it printed of a failure."""
    result = subprocess.run([program], env={**os.environ, "FPHEAP_SEED": "1",
                                            **settings}, text=True,
                            capture_output=True, timeout=seconds + 120)
    return result.stdout + result.stderr if result.returncode != 0 else ""


def searched(program, scenes, number, seconds):
    """(what went wrong, the schedule, after how many) or None."""
    text = run(program, seconds, WEAKEN=str(number), SCHEDULE_SECONDS=str(seconds),
               SCHEDULE_ONLY=",".join(scenes))
    found = re.search(r"^ *SCHEDULE=(.*)$", text, re.M)
    if not found:
        return None
    wrong = re.search(r"^(.*)\n  thread \d+, step \d+, run (\d+)", text, re.M)
    schedule = found.group(1)
    again = run(program, 20, WEAKEN=str(number), SCHEDULE=schedule)
    if schedule not in again or run(program, 20, WEAKEN="0", SCHEDULE=schedule):
        return None
    return wrong.group(1), schedule, int(wrong.group(2))


def tried(programs, number, seconds):
    began = time.time()
    for program, scenes in programs.items():
        found = scenes[number] and searched(program, scenes[number], number,
                                            seconds)
        if found:
            return program.name, time.time() - began, *found
    return None


def argued():
    return set(re.findall(r"^(\S.*)$", ARGUED.read_text(), re.M)) \
        if ARGUED.exists() else set()


def main():
    seconds = float(os.environ.get("SECONDS", "20"))
    header = structure.Header(TOP / "fpheap.h")
    text, names = weakened(header)
    words, known, missing = sys.argv[1:], argued(), 0
    os.chdir(TOP)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "fpheap.h").write_text(text)
        programs = compiled(scratch)
        chosen = sorted((number for number, (_, name) in names.items()
                         if not words or any(word in name for word in words)),
                        key=lambda number: names[number])
        with ThreadPoolExecutor(int(os.environ.get("JOBS", "2"))) as pool:
            results = pool.map(lambda one: tried(programs, one, seconds), chosen)
            for number, found in zip(chosen, results):
                line, name = names[number]
                if found:
                    program, took, wrong, schedule, runs = found
                    print(f"ok    {name}: {wrong}, {program}, {runs} schedules, "
                          f"{took:.1f} s\n      SCHEDULE={schedule}", flush=True)
                elif name in known:
                    print(f"ok    {name}: argued", flush=True)
                else:
                    missing += 1
                    scenes = sum(len(meets[number]) for meets in programs.values())
                    print(f"FAIL  {name} (line {line}): was not noticed in "
                          f"{scenes} scenes", flush=True)
    print(f"\n{len(chosen) - missing} passed, {missing} failed, 0 skipped")
    return missing != 0


if __name__ == "__main__":
    sys.exit(main())
