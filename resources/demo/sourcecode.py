# SPDX-License-Identifier: GPL-3.0-or-later
"""Source code: this project's own files (code-corpus.json.gz, see --collect) split into training and
held-out line ranges, and generated code in the same style so that a small corpus is not learnt by heart.

  python sourcecode.py --collect DIR...   writes code-corpus.json.gz from source trees"""
import argparse
import gzip
import json
import pathlib
import random
import re
import zlib

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE / "code-corpus.json.gz"
RANGE = 30  # lines; one range in eight is held out
ROOTS = {"app", "core", "ui", "tests", "packaging", "resources", ".ci", "CMakeLists.txt"}
SKIP = {"build", ".git", "data", "ColorMapTables.cpp", "ColorMapTables.h"}  # tables of numbers

KEYWORDS = set("""alignas auto bool break case catch char class const constexpr continue default delete do double else
enum explicit export extern false final float for friend if include inline int int32 int64 long mutable namespace
noexcept nullptr operator override pragma once private protected public return short signed sizeof size static struct
switch template this throw true try typedef typename union unsigned using virtual void while std string vector def
self import from elif except finally with lambda not and None True False raise yield pass assert print range len
SPDX License Identifier GPL later qkov QVERIFY QCOMPARE slots endif ifdef define echo then done fi set add""".split())
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")

NOUNS = """head layer block sample task score tensor matrix shape row column weight bias input output factor fisher
cell map plot figure axis color label title item model view page window button file path line token text byte offset
length count index rank range limit budget tile chunk cache buffer thread job stage progress error message option
config mode variant group cluster pair value mean median norm sum epsilon ridge grid legend tick panel margin width
height depth scale start end step seed query key name entry node list table field record result summary report""".split()
VERBS = """read write open close load store parse format check find make build add remove compute collect select
update reset clear draw paint resize scan merge split sort filter copy move count apply fill print append""".split()
TYPES = ["int", "double", "float", "bool", "std::string", "std::int64_t", "std::size_t", "Index", "QString"]


def group_of(path):
    name = pathlib.PurePath(path)
    if name.suffix in (".py", ".sh") or name.name == "run":
        return "script"
    if name.parts[0] == "tests" and name.suffix == ".cpp":
        return "test"
    if name.suffix == ".h":
        return "header"
    if name.suffix in (".cpp", ".cu"):
        return "implementation"
    return "build"


def collect(roots):
    files = {}
    for root in map(pathlib.Path, roots):
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if relative.parts[0] not in ROOTS or SKIP & set(relative.parts) or not path.is_file():
                continue
            if path.suffix not in (".h", ".cpp", ".cu", ".py", ".sh") and path.name not in ("CMakeLists.txt", "run"):
                continue
            text = path.read_text(encoding="utf-8")
            if len(text) > len(files.get(str(relative), "")):
                files[str(relative)] = text
    with open(CORPUS, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        out.write(json.dumps(files, sort_keys=True, ensure_ascii=False, indent=0).encode())
    return files


def load():
    return json.loads(gzip.decompress(CORPUS.read_bytes()))


def split(files):
    """training: [(group, text)]; held out: [(group, path, first line, lines)]."""
    training, kept = [], []
    for path, text in sorted(files.items()):
        lines, group, run = text.splitlines(keepends=True), group_of(path), []
        for first in range(0, len(lines), RANGE):
            part = lines[first:first + RANGE]
            if zlib.crc32(f"{path}:{first}".encode()) % 8 == 0:
                kept.append((group, path, first + 1, part))
                if run:
                    training.append((group, "".join(run)))
                run = []
            else:
                run += part
        if run:
            training.append((group, "".join(run)))
    return training, kept


def held_out_samples(files, count, seed, low=60, high=200):
    """[(group, text)]: whole lines of held-out ranges, none of which occurs in the training text."""
    training, kept = split(files)
    everything = "\n".join(text for _, text in training)
    rng, by_group = random.Random(seed), {}
    for group, _, _, lines in kept:
        at = 0
        while at < len(lines):
            text, want = "", rng.randint(90, high)
            while at < len(lines) and len((text + lines[at]).encode()) <= want:
                text += lines[at]
                at += 1
            if not text:
                at += 1
                continue
            text = text.lstrip("\n")
            fresh = sum(len(line) for line in text.splitlines() if len(line) > 12 and line not in everything)
            if low <= len(text.encode()) <= high and fresh >= 40 and text.strip() not in everything:
                by_group.setdefault(group, []).append(text)
    for texts in by_group.values():
        rng.shuffle(texts)
    out, groups = [], sorted(by_group)
    while len(out) < count and any(by_group.values()):
        for group in groups:
            if by_group[group] and len(out) < count:
                out.append((group, by_group[group].pop()))
    return out


# ---- generated code ----

def camel(rng, parts=2):
    words = [rng.choice(VERBS if rng.random() < 0.3 else NOUNS)] + [rng.choice(NOUNS) for _ in range(parts - 1)]
    return words[0] + "".join(w.capitalize() for w in words[1:])


def noun(rng):
    return camel(rng, rng.choice((1, 1, 2, 2, 3)))


def pascal(rng):
    name = camel(rng, 2)
    return name[0].upper() + name[1:]


def snake(rng):
    return "_".join(rng.choice(NOUNS) for _ in range(rng.choice((1, 2, 2))))


def c_struct(rng):
    name, members = pascal(rng), [(rng.choice(TYPES), noun(rng)) for _ in range(rng.randint(2, 6))]
    text = f"struct {name} {{\n" + "".join(f"    {t} {m}{rng.choice(['', ' = 0', '{}'])};\n" for t, m in members) + "};\n\n"
    if rng.random() < 0.6:
        text += f"bool operator==(const {name}& a, const {name}& b)\n{{\n    return " + \
            " && ".join(f"a.{m} == b.{m}" for _, m in members) + ";\n}\n\n"
    return text


def c_class(rng):
    name, members = pascal(rng), [(rng.choice(TYPES), noun(rng)) for _ in range(rng.randint(2, 4))]
    text = f"class {name} {{\n  public:\n    explicit {name}(" + \
        ", ".join(f"{t} {m}" for t, m in members) + ");\n"
    text += "".join(f"    {t} {m}() const {{ return m_{m}; }}\n" for t, m in members)
    text += "\n  private:\n" + "".join(f"    {t} m_{m};\n" for t, m in members) + "};\n\n"
    text += f"{name}::{name}(" + ", ".join(f"{t} {m}" for t, m in members) + ")\n    : " + \
        ", ".join(f"m_{m}({m})" for _, m in members) + "\n{\n}\n\n"
    return text


def c_loop(rng):
    f, a, b, i = camel(rng), noun(rng), noun(rng), rng.choice(["i", "j", "k", "row", "h"])
    kind = rng.randrange(3)
    head = f"double {f}(const std::vector<double>& {a})\n{{\n"
    if kind == 0:
        return head + f"    double {b} = 0;\n    for (double {i} : {a})\n        {b} += {i};\n    return {b};\n}}\n\n"
    if kind == 1:
        return head + (f"    double {b} = 0;\n    for (std::size_t {i} = 0; {i} < {a}.size(); ++{i}) {{\n"
                       f"        if ({a}[{i}] > {b})\n            {b} = {a}[{i}];\n    }}\n    return {b};\n}}\n\n")
    return (f"void {f}(std::vector<double>& {a}, double {b})\n{{\n    for (double& {i} : {a})\n"
            f"        {i} *= {b};\n}}\n\n")


def c_check(rng):
    f, a, b = camel(rng), noun(rng), noun(rng)
    return (f"void {f}(const std::string& {a}, std::int64_t {b})\n{{\n    if ({a}.empty())\n"
            f"        throw InputError(\"{a} is empty\");\n    if ({b} < 0)\n"
            f"        throw InputError(\"{b} is negative\", {a});\n}}\n\n")


def c_switch(rng):
    e, f = pascal(rng), camel(rng)
    values = list(dict.fromkeys(rng.choice(NOUNS) for _ in range(rng.randint(3, 5))))
    return (f"enum class {e} : std::uint8_t {{ {', '.join(values)} }};\n\nconst char* {f}({e} value)\n{{\n"
            "    switch (value) {\n" + "".join(f"    case {e}::{v}:\n        return \"{v}\";\n" for v in values) +
            "    }\n    return \"\";\n}\n\n")


def c_test(rng):
    t, x, f = pascal(rng), noun(rng), camel(rng)
    lines = [rng.choice([f"    QCOMPARE({x}.size(), {rng.randint(0, 9)});\n", f"    QVERIFY({x}.isEmpty());\n",
                         f"    QCOMPARE({x}.{noun(rng)}(), {rng.randint(0, 99)});\n",
                         f"    QVERIFY(!{x}.{noun(rng)}());\n"]) for _ in range(rng.randint(2, 4))]
    return f"void Test{t}::{f}()\n{{\n    {t} {x};\n" + "".join(lines) + "}\n\n"


def py_function(rng):
    f, a, b = snake(rng), snake(rng), snake(rng)
    kind = rng.randrange(3)
    if kind == 0:
        return f"def {f}({a}, {b}):\n    if not {a}:\n        return {b}\n    return [{b}(x) for x in {a}]\n\n\n"
    if kind == 1:
        return (f"def {f}({a}):\n    {b} = {{}}\n    for name, value in {a}.items():\n"
                f"        {b}[name] = value\n    return {b}\n\n\n")
    return f"def {f}({a}, {b}=0):\n    for x in {a}:\n        {b} += x\n    return {b}\n\n\n"


def py_class(rng):
    name, fields = pascal(rng), list(dict.fromkeys(snake(rng) for _ in range(rng.randint(2, 3))))
    return (f"class {name}:\n    def __init__(self, {', '.join(fields)}):\n" +
            "".join(f"        self.{x} = {x}\n" for x in fields) + "\n" +
            f"    def {snake(rng)}(self):\n        return self.{fields[0]}\n\n\n")


GENERATORS = [c_struct, c_class, c_loop, c_check, c_switch, c_test, py_function, py_class]


def renamed(text, pool, rng):
    """Every identifier that is no keyword becomes another one, the same everywhere in the text."""
    names = {}

    def new(match):
        word = match.group()
        if word in KEYWORDS or word.startswith("__"):
            return word
        if word not in names:
            keep = rng.random() < 0.3
            names[word] = word if keep else rng.choice(pool) if rng.random() < 0.5 else noun(rng)
        return names[word]
    return IDENTIFIER.sub(new, text)


class Windows:
    """Training windows of exactly `size` bytes, each beginning with a whole line."""

    def __init__(self, files):
        self.texts = [text for _, text in split(files)[0]]
        self.starts = [[0] + [m.end() for m in re.finditer("\n", text)] for text in self.texts]
        self.weights = [len(text) for text in self.texts]
        self.pool = sorted({w for text in self.texts for w in IDENTIFIER.findall(text)} - KEYWORDS)

    def real(self, rng, size, rename):
        data = b""
        while len(data) < size:
            k = rng.choices(range(len(self.texts)), self.weights)[0]
            at = rng.choice(self.starts[k])
            text = self.texts[k][at:at + 2 * size]
            data += (renamed(text, self.pool, rng) if rename else text).encode()
            if data and not data.endswith(b"\n"):
                data += b"\n"
        return data[:size]

    def generated(self, rng, size):
        data = b""
        while len(data) < size:
            data += rng.choice(GENERATORS)(rng).encode()
        return data[:size]

    def window(self, rng, size):
        u = rng.random()
        if u < 0.65:
            return self.real(rng, size, False)
        return self.real(rng, size, True) if u < 0.85 else self.generated(rng, size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--collect", nargs="+", metavar="DIR", required=True)
    files = collect(parser.parse_args().collect)
    training, kept = split(files)
    print(len(files), "files,", sum(map(len, files.values())), "characters;", len(kept), "ranges held out")
