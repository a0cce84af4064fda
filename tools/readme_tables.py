"""The tables of README.md, made of the stored runs.

    python tools/readme_tables.py           # write them
    python tools/readme_tables.py --check   # are those in the file up to date?

A table stands between `<!-- table NAME -->` and `<!-- end -->`; the rest of the page is left alone.
"""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from peft_lab.plots.style import size_text  # noqa: E402
from peft_lab.recommend import gain, trained  # noqa: E402

PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.S)
METHODS = ("full", "LoRA 8, all", "top 2", "Houlsby 8", "MAM", "UniPELT", "parallel 16", "DoRA 8",
           "prefix (text)", "LoRA 8", "BitFit", "IA3", "prompt")  # fmt: skip
TASKS = ("poems", "tables", "moods", "code", "nepali")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def methods() -> str:
    """One row a method on poems, the best loss first."""
    rows = trained("poems")
    base = rows["base"]
    lines = []
    for name in sorted(METHODS, key=lambda name: rows[name].loss.mean):
        row = rows[name]
        stories = sum(run["story_nats"] for run in row.runs) / len(row.runs)
        lines.append([
            name, f"{row.parameters:,}", size_text(row.file_bytes), f"{row.loss.mean:.3f}",
            f"{gain(rows, name):.0%}", f"{stories - base.runs[0]['story_nats']:+.2f}",
        ])  # fmt: skip
    lines.append(["the base", "0", "", f"{base.loss.mean:.3f}", "0%", "0"])
    head = ["on poems", "trained numbers", "file", "test loss, nats a token", "share of the gain",
            "forgotten, nats on stories"]  # fmt: skip
    return table(head, lines)


def tasks() -> str:
    """One row a method, one column a task: the share of full fine-tuning's gain."""
    found = {task: trained(task) for task in TASKS}
    names = ("LoRA 8 + embeddings", "LoRA 8, all", "top 2", "prefix (text)", "LoRA 8", "prompt")
    lines = [
        [name, *(f"{gain(rows, name):.0%}" if name in rows else "" for rows in found.values())]
        for name in names
    ]
    return table(["share of the gain", *TASKS], lines)


MAKERS = {"methods": methods, "tasks": tasks}


def renewed(page: str) -> str:
    """The page with its tables made anew.

    Raises:
        KeyError: a table that nobody makes.
    """
    return PLACE.sub(lambda found: found[1] + MAKERS[found[2]]() + found[3], page)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args(arguments)
    file = ROOT / "README.md"
    page = file.read_text(encoding="utf-8")
    new = renewed(page)
    if args.check and new != page:
        print("README.md has old tables: python tools/readme_tables.py")
        return 1
    if new != page:
        file.write_text(new, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
