# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated arithmetic: six templates, each a `group`. Problems are split into training and
held-out ones by a hash of their operands, so a held-out problem is never seen while training."""
import random
import zlib

NAMES = ["Mia", "Tom", "Ana", "Leo", "Eva", "Ben", "Ida", "Max", "Zoe", "Sam", "Lia", "Jan", "Noa", "Kim"]
THINGS = ["apples", "books", "coins", "stones", "cards", "pens", "shells", "stamps", "eggs", "nuts", "cups"]
BOXES = ["boxes", "bags", "shelves", "rows", "baskets", "crates"]


def held_out(op, a, b):
    """One operand pair in eight is kept out of training."""
    return zlib.crc32(f"{op} {a} {b}".encode()) % 8 == 0


def operands(rng, op, low_a, high_a, low_b, high_b, held):
    while True:
        a, b = rng.randint(low_a, high_a), rng.randint(low_b, high_b)
        if op == "-" and b > a:
            a, b = b, a
        if held_out(op, a, b) == held:
            return a, b


def binary(rng, held):
    op = rng.choice("++-*")
    if op == "*":
        a, b = operands(rng, op, 2, 12, 2, 19, held)
    else:
        a, b = operands(rng, op, 1, 99, 1, 99, held)
    return f"{a} {op} {b} = " + str(a + b if op == "+" else a - b if op == "-" else a * b)


def equation(rng, held):
    return "\n".join(binary(rng, held) for _ in range(rng.randint(4, 9))) + "\n"


def word_problem(rng, held):
    who, other = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    kind = rng.randrange(4)
    if kind == 0:
        a, b = operands(rng, "+", 2, 60, 2, 39, held)
        return (f"{who} has {a} {thing}. {other} gives {who} {b} more. How many {thing} does {who} have now? "
                f"{a} + {b} = {a + b}. Answer: {a + b}\n")
    if kind == 1:
        a, b = operands(rng, "-", 10, 99, 2, 60, held)
        return (f"{who} has {a} {thing} and loses {b} of them. How many {thing} are left? "
                f"{a} - {b} = {a - b}. Answer: {a - b}\n")
    if kind == 2:
        a, b = operands(rng, "*", 2, 12, 2, 19, held)
        box = rng.choice(BOXES)
        return (f"There are {a} {box} with {b} {thing} each. How many {thing} are there in all? "
                f"{a} * {b} = {a * b}. Answer: {a * b}\n")
    a, b = operands(rng, "+", 2, 60, 2, 39, held)
    return (f"{who} finds {a} {thing}, {other} finds {b}. How many {thing} do {who} and {other} have together? "
            f"{a} + {b} = {a + b}. Answer: {a + b}\n")


def step_by_step(rng, held):
    a, b = operands(rng, "+", 100, 899, 100, 899, held)
    lines, carry, places = [f"Add {a} and {b}."], 0, ["ones", "tens", "hundreds"]
    x, y = a, b
    for place in places:
        p, q = x % 10, y % 10
        total = p + q + carry
        parts = f"{p} + {q}" + (f" + {carry}" if carry else "")
        carry = total // 10
        lines.append(f"{place}: {parts} = {total}" + (", carry 1" if carry else ""))
        x, y = x // 10, y // 10
    return "\n".join(lines) + f"\nsum: {a + b}\n"


def sequence(rng, held):
    start, step = operands(rng, "seq", 1, 60, 2, 19, held)
    terms = [start + step * k for k in range(rng.randint(6, 9))]
    if rng.random() < 0.4:
        terms.reverse()
        sign = "subtract"
        rest = [t for t in [terms[-1] - step] if t >= 0]
    else:
        sign = "add"
        rest = [terms[-1] + step]
    text = "Sequence: " + ", ".join(map(str, terms)) + f". Rule: {sign} {step}."
    return text + (f" Next: {rest[0]}\n" if rest else " End.\n")


def comparison(rng, held):
    a, b = operands(rng, "*", 2, 12, 2, 19, held)
    c, d = operands(rng, "+", 1, 99, 1, 99, held)
    p, s = a * b, c + d
    verdict = "they are equal" if p == s else f"{a} * {b} is larger" if p > s else f"{c} + {d} is larger"
    return (f"Which is larger, {a} * {b} or {c} + {d}?\n{a} * {b} = {p}\n{c} + {d} = {s}\n"
            f"So {verdict}.\n")


def solve(rng, held):
    x, b = operands(rng, "+", 1, 99, 1, 99, held)
    name = rng.choice("xyzn")
    return (f"Solve {name} + {b} = {x + b}.\nSubtract {b} on both sides: {name} = {x + b} - {b}.\n"
            f"So {name} = {x}. Check: {x} + {b} = {x + b}.\n")


TEMPLATES = {"equation": equation, "word problem": word_problem, "step by step": step_by_step,
             "sequence": sequence, "comparison": comparison, "solve": solve}


def window(rng, size):
    """`size` bytes of training text: problems one after the other, beginning with a whole one."""
    text = b""
    while len(text) < size:
        text += TEMPLATES[rng.choice(list(TEMPLATES))](rng, False).encode() + b"\n"
    return text[:size]


def held_out_samples(count, seed, low=40, high=200):
    """[(group, text)], the templates in turn, every text once."""
    rng, seen, out = random.Random(seed), set(), []
    while len(out) < count:
        group = list(TEMPLATES)[len(out) % len(TEMPLATES)]
        text = TEMPLATES[group](rng, True)
        if low <= len(text.encode()) <= high and text not in seen:
            seen.add(text)
            out.append((group, text))
    return out
