"""What the datasheet of data/tasks/code says of its programs, measured.

    python tools/code_data.py             sizes, kinds, what programs share, what "parses" means
    python tools/code_data.py --run       runs every program with its checks, as the tests do
    python tools/code_data.py --broken    breaks every program in one place: do its checks see it?
    python tools/code_data.py --trial     adapts storyteller-micro once and lets it write (minutes)

Lines that begin with "| " stand in the datasheet; tests/test_far_tasks.py compares them. What is
run is what the course's writers wrote, and what --broken makes of it; no answer of a model is.
"""

import ast
import builtins
import copy
import io
import json
import keyword
import random
import re
import signal
import sys
import textwrap
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from near import SPLITS, closest, grams, read, runs, words

from peft_lab.code_measures import good_lines, parses, unknown_names

BASE = "storyteller-micro"


def every() -> list[tuple[str, dict]]:
    """(split, row) of all rows."""
    return [(split, row) for split in SPLITS for row in read("code", split)]


def checks() -> dict[str, list[str]]:
    """Name of a row's function or class -> the lines to be run after it."""
    return {line["name"]: line["checks"] for line in read("code", "checks")}


def whole(row: dict) -> str:
    return row["source"] + "\n" + row["target"]


def node_of(row: dict) -> ast.FunctionDef | ast.ClassDef:
    (node,) = ast.parse(whole(row)).body
    return node


# --- running them


def passes(text: str, lines: list[str]) -> bool:
    try:
        exec("\n".join([text, *lines]), {"__name__": "row"})
    except Exception:
        return False
    return True


def lines_missed(row: dict, lines: list[str]) -> set[int]:
    """The lines of a program's statements that its checks do not run."""
    ran: set[int] = set()

    def trace(frame, event, _):
        if frame.f_code.co_filename == "row":
            if event == "line":
                ran.add(frame.f_lineno)
            return trace

    place, old = {"__name__": "row"}, sys.gettrace()
    sys.settrace(trace)
    try:
        exec(compile(whole(row), "row", "exec"), place)
        exec("\n".join(lines), place)
    finally:
        sys.settrace(old)
    node = node_of(row)
    inner = [part for part in ast.walk(node) if isinstance(part, ast.stmt) and part is not node]
    silent = (ast.FunctionDef, ast.Nonlocal)  # of these Python reports no line
    wanted = {part.lineno for part in inner if not isinstance(part, silent)}
    return wanted - {node.body[0].lineno} - ran


def run_all() -> dict:
    """Runs every program: what fails its checks, what they miss, and what passes with no body."""
    found = {"programs": 0, "asserts": 0, "fails": [], "misses": [], "passes empty": []}
    lines_of = checks()
    for _, row in every():
        name = node_of(row).name
        lines = lines_of[name]
        found["programs"] += 1
        found["asserts"] += sum(line.startswith("assert ") for line in lines)
        if not passes(whole(row), lines):
            found["fails"].append(name)
        elif lines_missed(row, lines):
            found["misses"].append(name)
        if passes(row["source"] + "\n    pass", lines):
            found["passes empty"].append(name)
    return found


SWAPS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In},
    **{ast.And: ast.Or, ast.Or: ast.And},
}


def broken(row: dict) -> Iterator[str]:
    """The program with one operator or comparison swapped, or one whole number raised by one."""
    base = node_of(row)
    for place, node in enumerate(ast.walk(base)):
        other = copy.deepcopy(base)
        part = list(ast.walk(other))[place]
        if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPS:
            part.op = SWAPS[type(node.op)]()
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
            part.ops[0] = SWAPS[type(node.ops[0])]()
        elif isinstance(node, ast.Constant) and type(node.value) is int:
            part.value += 1
        else:
            continue
        yield ast.unparse(ast.fix_missing_locations(other))


def run_broken(seconds: float = 0.3) -> str:
    """How many broken programs the checks catch; one that does not end in time is caught too."""
    import resource  # this and the alarm: not on Windows

    resource.setrlimit(resource.RLIMIT_AS, (4_000_000_000, 4_000_000_000))

    def too_long(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    caught, lines_of = [], checks()
    for _, row in every():
        lines = lines_of[node_of(row).name]
        for text in broken(row):
            try:
                signal.setitimer(signal.ITIMER_REAL, seconds)
                caught.append(not passes(text, lines))
            except TimeoutError:
                caught.append(True)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
    return f"broken: {sum(caught):,} of {len(caught):,} caught, {sum(caught) / len(caught):.1%}"


# --- how near they are to each other


def skeleton(row: dict) -> str:
    """The syntax tree of a body: names, attributes, keywords, strings and numbers blanked out."""
    node = node_of(row)
    node.body = node.body[1:]
    for part in ast.walk(node):
        for field in ("id", "name", "arg", "attr", "asname", "rest", "module"):
            if isinstance(getattr(part, field, None), str):
                setattr(part, field, "_")
        if isinstance(part, ast.Constant) and isinstance(part.value, (str, int, float)):
            part.value = "_" if isinstance(part.value, str) else 0
        if isinstance(part, (ast.Nonlocal, ast.Global)):
            part.names = ["_"]
    return ast.dump(node)


def blanked(row: dict) -> list[str]:
    """A body as Python's tokens: own names and constants blanked out, built-in names kept."""
    kept = set(keyword.kwlist) | set(dir(builtins))
    told = {tokenize.STRING, tokenize.NUMBER, tokenize.INDENT, tokenize.DEDENT, tokenize.NEWLINE}
    out, depth = [], 0
    text = textwrap.dedent(row["target"]) + "\n"
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind in ("FSTRING_START", "FSTRING_END"):  # since 3.12; before, an f-string is a STRING
            depth += 1 if kind == "FSTRING_START" else -1
            out += ["STRING"] * (depth == 0)
        elif depth:
            continue
        elif token.type == tokenize.OP or token.string in kept:
            out.append(token.string)
        elif token.type in told | {tokenize.NAME}:
            out.append(kind)
    return out


def shared() -> list[str]:
    """The most that two programs of different splits share (Jaccard), as rows of a table."""
    splits, rows = zip(*every(), strict=True)
    kinds = {
        "runs of three words, whole text": [runs(whole(row), 3) for row in rows],
        "runs of three words, body only": [runs(row["target"], 3) for row in rows],
        "runs of five Python tokens of the body, own names, strings and numbers blanked out": [
            grams(blanked(row), 5) for row in rows
        ],
    }
    return [f"| {kind} | {closest(splits, sets)[0]:.1%} |" for kind, sets in kinds.items()]


# --- sizes and kinds


def sizes(tokenizer) -> list[str]:
    """The rows of the datasheet's table of sizes."""
    from peft_lab.tasks import IGNORE, load_task

    task, lines = load_task("code", tokenizer), []
    for split in SPLITS:
        examples = getattr(task, split)
        written = sum(len(example.target.encode()) for example in examples)
        size = written + sum(len(example.source.encode()) + 1 for example in examples)
        scored = sum(int((example.labels != IGNORE).sum()) for example in examples)
        tokens = sum(len(example.input_ids) for example in examples)
        counts = " | ".join(f"{n:,}" for n in (len(examples), size, written, scored, tokens))
        lines.append(f"| `{split}.jsonl` | {counts} |")
    return lines


def print_lengths(tokenizer) -> None:
    def tokens(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    rows = [row for _, row in every()]
    size = [len(whole(row).encode()) for row in rows]
    bodies = [len(row["target"].encode()) for row in rows]
    print(f"bytes: {max(size)} at most, {sum(size) / len(rows):.0f} on average,", end="")
    print(f" {sum(bodies) / len(rows):.0f} of them body")
    total = [len(tokens(whole(row))) + 2 for row in rows]
    scored = [len(tokens(row["target"])) + 1 for row in rows]
    print(f"tokens: {min(total)} to {max(total)}, {sum(total) / len(rows):.0f} on average,", end="")
    print(f" scored {min(scored)} to {max(scored)}")
    docs = [re.search('"""(.*)"""', row["source"])[1] for row in rows]
    stories = [row["target"] for row in read("stories", "test")]
    for kind, texts in (("body", [r["target"] for r in rows]), ("doc", docs), ("story", stories)):
        written, count = sum(map(len, texts)), sum(len(tokens(text)) for text in texts)
        print(f"bytes a token, {kind}: {written / count:.2f}")
    blanks = sum(tokenizer.decode([t]) == " " for r in rows for t in tokens(r["target"]))
    print(f"tokens of bodies that are a single blank: {blanks / (sum(scored) - len(rows)):.0%}")
    lines = [sum(map(bool, row["target"].split("\n"))) for row in rows]
    print(f"lines of body: {min(lines)} to {max(lines)}, {sum(lines) / len(rows):.1f} on average")


def kinds(row: dict) -> set[str]:
    """What the datasheet counts: a class, recursion, match, try, an import, an empty first line."""
    node = node_of(row)
    inside = {type(part) for part in ast.walk(node)}
    named = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    held = {
        "class": isinstance(node, ast.ClassDef),
        "recursion": isinstance(node, ast.FunctionDef) and node.name in named,
        "match": ast.Match in inside,
        "try": ast.Try in inside,
        "import": bool(inside & {ast.Import, ast.ImportFrom}),
        "first line empty": row["target"].startswith("\n"),
    }
    return {kind for kind, holds in held.items() if holds}


def what_parses_means() -> list[str]:
    """`parses` and its sisters on test bodies and on what is none, as rows of a table."""
    test, chance = read("code", "test"), random.Random(0)
    bodies = [row["target"] for row in test]
    text = " ".join(row["target"] for row in read("stories", "test"))
    tales = [tale.strip() for tale in re.findall(r"[^.!?]+[.!?]", text)]
    lines = [body.split("\n") for body in bodies]
    answers = {
        "the reference": bodies,
        "nothing": [""] * len(test),
        "`pass`, every time": ["    pass"] * len(test),
        "the body of the next row": bodies[1:] + bodies[:1],
        "the reference, its lines shuffled": [
            "\n".join(chance.sample(own, len(own))) for own in lines
        ],
        "the first half of its lines": ["\n".join(own[: (len(own) + 1) // 2]) for own in lines],
        "the reference, cut after half its characters": [b[: len(b) // 2] for b in bodies],
        "a sentence of a story, indented": ["    " + chance.choice(tales) for _ in test],
    }
    return [f"| {kind} | {' | '.join(scores(test, given))} |" for kind, given in answers.items()]


def scores(rows: list[dict], answers: list[str]) -> list[str]:
    """The shares that parse, that also know their names, and of lines that stand alone."""
    pairs = [(row["source"], text) for row, text in zip(rows, answers, strict=True)]
    good = [pair for pair in pairs if parses(*pair)]
    known = [pair for pair in good if not unknown_names(*pair)]
    alone = sum(map(good_lines, answers))
    return [f"{count / len(rows):.1%}" for count in (len(good), len(known), alone)]


def trial(steps: int = 150, rows: int = 100, most: int = 120) -> None:
    """Full fine-tuning of storyteller-micro, one seed, nothing tuned: can the task be measured?"""
    from peft_lab import FullFineTuning, evaluate, fit, generate_text, load_base, load_task

    model, tokenizer = load_base(BASE)
    task = load_task("code", tokenizer)

    def report(when: str) -> None:
        print(when, evaluate(model, task.test, pad_id=tokenizer.pad_token_id))
        texts = [
            generate_text(model, tokenizer, e.source + "\n", max_new_tokens=most, temperature=0)
            for e in task.test[:rows]
        ]
        shares = ", ".join(scores(read("code", "test")[:rows], texts))
        print(f"{when}: parse, know their names, lines: {shares}; {len(set(texts))} different")

    report("before")
    quiet = {"progress": False, "live_curve": False}
    times = {"steps": steps, "batch_size": 8, "evaluate_every": 25, "keep_best": True}
    with FullFineTuning().attach(model) as adapted:
        print(fit(model, task, adapted, learning_rate=2e-3, **times, **quiet))
        report("after")


def main() -> None:
    if "--run" in sys.argv:
        print(json.dumps(run_all()))
    elif "--broken" in sys.argv:
        print(run_broken())
    elif "--trial" in sys.argv:
        trial()
    else:
        from peft_lab import load_base

        tokenizer = load_base(BASE)[1]
        print(*sizes(tokenizer), *shared(), *what_parses_means(), sep="\n")
        print_lengths(tokenizer)
        for kind in ("class", "recursion", "match", "try", "import", "first line empty"):
            held = Counter(split for split, row in every() if kind in kinds(row))
            print(f"{kind}: {held.total()} {dict(held)}")
        seen = {word for row in read("code", "train") for word in words(row["target"])}
        test = [word for row in read("code", "test") for word in words(row["target"])]
        new = sum(word not in seen for word in test) / len(test)
        print(f"words of test bodies that train lacks: {new:.0%}")


if __name__ == "__main__":
    main()
