#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that each kernel object exports its table and nothing else.

An inline function emitted by an object that was compiled for a newer CPU could be the copy that the
linker keeps for the whole program, which then dies on an older one.
Usage: check_kernel_exports.py NM OBJECT...
"""
import re
import subprocess
import sys

TABLE = re.compile(r"k[A-Z]\w*(Kernels|DotLoop)")
# Of sanitizers and coverage, and the pointer to the exception handler of what they clean up.
TOOLING = re.compile(r"__(odr_)?(asan|ubsan|tsan|msan|gcov|llvm)|DW\.ref\.")


def exported(nm, path):
    listing = subprocess.run([nm, "-g", "-P", "--defined-only", path], check=True,
                             capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listing.splitlines() if line.strip()]
    return [name for name in names if not TOOLING.match(name)]


def main():
    nm, objects = sys.argv[1], sys.argv[2:]
    if not objects:
        sys.exit("no object files given")
    failed = False
    for path in objects:
        names = exported(nm, path)
        if len(names) != 1 or not TABLE.search(names[0]):
            print(f"{path}: exports {names}, expected one kernel table", file=sys.stderr)
            failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
