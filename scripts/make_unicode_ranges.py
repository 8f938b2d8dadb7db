#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes src/tokenizer/unicode_ranges.inc: which code points are letters, numbers, marks,
punctuation and symbols, as the `tokenizers` package (Oniguruma) has it.

usage: make_unicode_ranges.py > src/tokenizer/unicode_ranges.inc

Needs the `tokenizers` package; its Unicode version is newer than those of Debian's utf8proc and
PCRE2, and pre-tokenizers must split where it splits.
"""

import unicodedata

from tokenizers import Regex, pre_tokenizers

MAJOR = ["L", "N", "M", "P", "S"]
MINOR = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No",
         "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So"]


def members(category):
    """Code points that \\p{category} matches, ascending."""
    split = pre_tokenizers.Split(Regex(r"\p{%s}" % category), "removed")
    for code in range(0x110000):
        if not 0xD800 <= code < 0xE000 and not split.pre_tokenize_str(chr(code)):
            yield code


def ranges(codes):
    """[(first, last)] of ascending code points."""
    out = []
    for code in codes:
        if out and out[-1][1] == code - 1:
            out[-1][1] = code
        else:
            out.append([code, code])
    return out


def write(kind, name, what, entries):
    """An array of {first, last, label}, several a line."""
    print("// %s" % what)
    print("inline constexpr %s %s[] = {" % (kind, name))
    line = "   "
    for first, last, label in sorted(entries):
        item = " {0x%X, 0x%X, %s}," % (first, last, label)
        if len(line) + len(item) > 100:
            print(line)
            line = "   "
        line += item
    print(line)
    print("};")


def main():
    print("// SPDX-License-Identifier: Apache-2.0")
    print("// Written by scripts/make_unicode_ranges.py; not edited by hand.")
    print("// clang-format off")
    write("ClassRange", "kClassRanges", "{first, last, major category}.",
          [(first, last, "'%s'" % category) for category in MAJOR
           for first, last in ranges(members(category))])
    # PCRE2 10.42 knows Unicode 14, as does this Python's table where the two agree.
    assert unicodedata.unidata_version == "14.0.0", "needs Python 3.11, which knows Unicode 14"
    newer = []
    for category in MINOR:
        new = (code for code in members(category) if unicodedata.category(chr(code)) == "Cn")
        newer += [(first, last, "\"%s\"" % category) for first, last in ranges(new)]
    print()
    write("NewerRange", "kNewerRanges",
          "{first, last, general category} of what Unicode gained after version 14.", newer)
    print("// clang-format on")


if __name__ == "__main__":
    main()
