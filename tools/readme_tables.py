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
from peft_lab.evidence import gain, trained  # noqa: E402
from peft_lab.plots.style import size_text  # noqa: E402
from peft_lab.results import load_runs, step_times  # noqa: E402

PLACE = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.S)
METHODS = ("full", "LoRA 8, all", "top 2", "top 1", "Houlsby 8", "MAM", "UniPELT", "parallel 16",
           "DoRA 8", "prefix (text)", "LoRA 8", "BitFit", "IA3", "prompt")  # fmt: skip
MEASURES = {  # task -> its column, the field of a run, how it is written
    "poems": ("poems, nats a token", "test_nats", ".3f"),
    "tables": ("tables, facts told", "test_slot_recall", ".0%"),
    "moods": ("moods, right", "test_accuracy", ".0%"),
    "code": ("code, nats a token", "test_nats", ".3f"),
    "nepali": ("nepali, nats a third byte", "test_third_byte_nats", ".3f"),
}


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown; the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def methods() -> str:
    """One row a method on poems, the best loss first."""
    rows, times = trained("poems"), step_times(load_runs("poems"))
    base = rows["base"]
    lines = []
    for name in sorted(METHODS, key=lambda name: rows[name].loss.mean):
        row = rows[name]
        stories = sum(run["story_nats"] for run in row.runs) / len(row.runs)
        lines.append([
            name, f"{row.parameters:,}", size_text(row.file_bytes), f"{times[name].of_full:.2f}",
            f"{row.loss.mean:.3f}",
            f"{gain(rows, name):.0%}", f"{stories - base.runs[0]['story_nats']:+.2f}",
        ])  # fmt: skip
    lines.append(["the base", "0", "", "", f"{base.loss.mean:.3f}", "0%", "0"])
    head = ["on poems", "trained numbers", "file", "a step (full: 1)", "test loss, nats a token",
            "share of the gain", "forgotten, nats on stories"]  # fmt: skip
    return table(head, lines)


def tasks() -> str:
    """One row a method, one column a task, each by the measure that says most about the work."""
    found = {task: trained(task) for task in MEASURES}
    rivals = {task: {r["arm"]: [r] for r in load_runs(task)} for task in MEASURES}

    def cell(task: str, name: str) -> str:
        field, form = MEASURES[task][1:]
        rows = found[task]
        runs = rows[name].runs if name in rows else rivals[task].get(name, [])
        values = [run[field] for run in runs if field in run]
        return format(sum(values) / len(values), form) if values else ""

    names = ("full", "LoRA 8, all + embeddings", "embeddings", "LoRA 8, all", "top 2",
             "prefix (text)", "LoRA 8", "prompt", "base", "written prompt", "5-gram",
             "bag of words")  # fmt: skip
    lines = [[name, *(cell(task, name) for task in MEASURES)] for name in names]
    return table(["", *(head for head, *_ in MEASURES.values())], lines)


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
