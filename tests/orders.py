#!/usr/bin/env python3
"""orders.py - what each memory order of fpheap.h becomes on weak machines

    tests/orders.py [-v] [--quick] [--target=NAME]... [--header=FILE] [FLAG...]

Compiles the header for aarch64, with and without LSE, riscv64 and ppc64le, by gcc
and clang, and looks at the instructions of each labelled operation, wherever it is
inlined: a load acquire has to be an ldar or ldapr, or a load with a fence, and so
on.  So a flag of a compiler or a macro that drops an order is seen, and a compiler
that does.  Each operation has to be seen for one of them at least.

--quick is for the default settings only.  -v prints each operation with its
instructions.  FLAGs are for the compilers.  Those that are missing are skipped.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import structure

BUILDS = ([], ["-DFPHEAP_HEADER=1", "-DFPHEAP_CHECK=2"], ["-DFPHEAP_CHECK=1"])

# target: (prefix of its binutils and gcc, flags, more of them)
TARGETS = {
    "aarch64": ("aarch64-linux-gnu", ["-march=armv8-a"], ["-mno-outline-atomics"]),
    "aarch64+lse": ("aarch64-linux-gnu", ["-march=armv8.1-a"], []),
    "riscv64": ("riscv64-linux-gnu", ["-march=rv64gc"], []),
    "ppc64le": ("powerpc64le-linux-gnu", ["-mcpu=power8"], []),
}

# What has to do with order, and nothing else.
TELLING = {
    "aarch64": re.compile(r"ldar|ldapr|stlr|ld(a?)xr|st(l?)xr|cas|swp|dmb"
                          r"|ld(add|set|clr|eor)|st(add|set|clr|eor)"),
    "riscv64": re.compile(r"fence|lr\.|sc\.|amo"),
    "ppc64le": re.compile(r"lwsync|hwsync|sync|isync|l[dwbh]arx|st[dwbh]cx"),
}
OPERATION = re.compile(r"(?i)fph_(load|store|cas|max|fetch|refs|swap)")
KIND = {"load": "load", "store": "store"}


def has(found, pattern):
    return any(re.match(pattern, one) for one in found)


def aarch64(kind, order, found):
    acquires = has(found, r"ldaxr|(?:cas|swp|ld(?:add|set|clr|eor))a")
    releases = has(found, r"stlxr|(?:cas|swp|ld(?:add|set|clr|eor)|st(?:add|set|clr"
                          r"|eor))a?l")
    if kind == "load":
        return has(found, "ldar" if order == "seq_cst" else "ldap?r")
    if kind == "store":
        return has(found, "stlr")
    return (acquires or order == "release") and (releases or order == "acquire")


def riscv64(kind, order, found):
    full = has(found, r"fence\s*(?:i?o?rw,i?o?rw)?$")
    acquires = full or has(found, r"fence\s+i?r,i?o?rw|(?:lr|sc|amo)\S*\.aq")
    releases = full or has(found, r"fence\s+i?o?rw,o?w|(?:sc|amo)\S*\.(?:aq)?rl")
    if kind == "load":
        return acquires and (full or order != "seq_cst")
    if kind == "store":
        return releases
    return (acquires or order == "release") and (releases or order == "acquire")


def ppc64le(kind, order, found):
    full = has(found, r"(?:hw)?sync")
    light = full or has(found, "lwsync")
    acquires = light or has(found, "isync")
    if order == "seq_cst":
        return full
    if kind == "load" or order == "acquire":
        return acquires
    return light and (order == "release" or kind == "store" or acquires)


SYMBOLIZER = next(filter(None, map(shutil.which, (
    "llvm-symbolizer", *(f"llvm-symbolizer-{n}" for n in range(25, 10, -1))))), None)
DEMANDS = {"aarch64": aarch64, "riscv64": riscv64, "ppc64le": ppc64le}


def run(*command, **more):
    return subprocess.run(command, check=True, text=True, capture_output=True,
                          **more).stdout


class Operation:
    """An operation of a function.  (Compilers may merge two that are alike.)"""

    def __init__(self, header, function, lines, order, labels):
        word = OPERATION.search(header.lines[lines[0] - 1])
        self.kind = KIND.get(word.group(1).lower(), "change") if word else "change"
        self.function, self.lines, self.order = function, lines, order
        self.labels = labels
        self.name = f"{', '.join(labels)}, {function}: {self.kind} {order}"
        self.is_checked = bool(labels) and order != "relaxed"


def operations_of(header):
    at = structure.labels_at(header)
    return [Operation(header, function, lines, order,
                      [label for line in lines for label in at.get(line, [])])
            for function, lines, order in structure.operations(header)]


def library(compiler, prefix, flags, source, out):
    run(*compiler, *flags, "-std=gnu11", "-O2", "-g", "-fPIC", "-w",
        "-DFPHEAP_IMPLEMENTATION", "-x", "c", "-c", source, "-o", f"{out}.o")
    run(f"{prefix}-gcc", "-shared", f"{out}.o", "-o", out)


def telling(machine, prefix, path):
    """(address, instruction) of all that tell an order."""
    for line in run(f"{prefix}-objdump", "-d", "--no-show-raw-insn",
                    path).splitlines():
        match = re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*([^#<]*)", line)
        if match and TELLING[machine].match(match.group(2)):
            text = match.group(2)
            if text == "fence":
                text += " " + match.group(3).strip()
            yield match.group(1), text


def frames(path, addresses):
    """address: lines of the header from the innermost on"""
    text = run(SYMBOLIZER, f"--obj={path}", "--inlines", "--functions=none",
               input="".join(f"0x{address}\n" for address in addresses))
    return {int(address, 16): [int(line) for line in
                               re.findall(r"fpheap\.h:(\d+)", places)]
            for address, places in zip(addresses, text.split("\n\n"))}


def instances(machine, prefix, path, operations):
    """Each place where an operation is: (operation, instructions)"""
    at = {}
    for operation in sorted(operations,     # the innermost, or else what is checked
                            key=lambda one: (one.lines[0], one.is_checked)):
        at.update((line, operation) for line in operation.lines)
    found = defaultdict(list)
    code = list(telling(machine, prefix, path))
    chains = frames(path, [address for address, _ in code])
    for address, text in code:
        chain = chains[int(address, 16)]
        for depth, line in enumerate(chain):
            if line in at:
                found[at[line], tuple(chain[depth:])].append(text)
    return [(operation, text) for (operation, _), text in found.items()
            if operation.is_checked]


def compilers(target):
    prefix, flags, gcc_flags = TARGETS[target]
    gcc = shutil.which(f"{prefix}-gcc")
    if gcc is None:
        return
    yield "gcc", [gcc], flags + gcc_flags
    if shutil.which("clang"):
        triple = prefix.replace("powerpc64le", "ppc64le")
        yield "clang", ["clang", f"--target={triple}",
                        f"--sysroot=/usr/{prefix}", "-isystem",
                        f"/usr/{prefix}/include"], flags + gcc_flags


def places(operations, options, target, compiler, flags):
    machine, prefix = target.split("+")[0], TARGETS[target][0]
    for build in BUILDS[:1] if options.quick else BUILDS:
        with tempfile.TemporaryDirectory() as scratch:
            path = f"{scratch}/library.so"
            library(compiler, prefix, flags + build + options.flags,
                    options.header, path)
            yield from instances(machine, prefix, path, operations)


def check(operations, options, target, compiler, flags):
    """What is wrong, and the operations that were seen."""
    demands = DEMANDS[target.split("+")[0]]
    wrong, seen, n = set(), set(), 0
    for operation, code in places(operations, options, target, compiler, flags):
        n += 1
        seen.add(operation.name)
        line = f"      {operation.lines[0]}: {operation.name} is {' '.join(code)}"
        if options.v:
            print(line)
        if not demands(operation.kind, operation.order, code):
            wrong.add(line)
    print(*sorted(wrong), sep="\n", end="\n" if wrong else "")
    return bool(wrong), seen, n


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-v", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--target", action="append", choices=TARGETS)
    parser.add_argument("--header",
                        default=str(Path(__file__).parent.parent / "fpheap.h"))
    options, options.flags = parser.parse_known_args()
    operations = operations_of(structure.Header(options.header))
    status, seen = 0, set()
    for target in options.target or TARGETS:
        for name, compiler, flags in compilers(target) if SYMBOLIZER else ():
            wrong, here, n = check(operations, options, target, compiler, flags)
            print(f"{'FAIL' if wrong else 'ok  '}  {target}, {name}: "
                  f"{len(here)} operations in {n} places", flush=True)
            status |= wrong
            seen |= here
    if not seen:
        print("skip  no compiler, or no llvm-symbolizer")
        return 0
    if options.quick or options.target:
        return status
    missing = {one.name for one in operations if one.is_checked} - seen
    for name in sorted(missing):
        print(f"      {name}")
    print(f"{'FAIL' if missing else 'ok  '}  each operation was seen")
    return status | bool(missing)


if __name__ == "__main__":
    sys.exit(main())
