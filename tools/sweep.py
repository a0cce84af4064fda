"""Make the runs of tools/grid.py and keep each as one JSON file in data/results.

    python tools/sweep.py                          # all experiments; go on where it stopped
    python tools/sweep.py --experiment init --jobs 2
    python tools/sweep.py --list                   # what is done, what is chosen, what is missing
    python tools/sweep.py --check                  # make a random finished run once more

A run is known by the hash of its settings. Finished runs are never repeated, also not for another
experiment that needs the same one; a failed run is kept with its error and does not stop the rest
(`--retry` tries those again). Each run computes with one thread, so `--jobs` may be the number of
cores. What is shared or widened between arms is decided from the stored runs alone: killed at any
moment, a sweep goes on to the same end.
"""

import argparse
import contextlib
import hashlib
import inspect
import json
import math
import multiprocessing
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tools"))

import baselines  # noqa: E402
import grid  # noqa: E402

from peft_lab.claims import ITEMS  # noqa: E402
from peft_lab.paths import data_dir  # noqa: E402
from peft_lab.results import best_learning_rate  # noqa: E402

CURVE_POINTS = 15
WRITTEN_ROWS, WRITTEN_TOKENS = 100, 100  # of test rows and of each text that is written for one
MOST_LABELS = 12  # of a task that is scored by accuracy too
UNTRAINED = ("Base", "WrittenPrompt", *baselines.KINDS)  # nothing in them is random
STARTS = ROOT / "build" / "starts"  # what other runs begin with
ATTEMPTS = 2  # of a run whose process died; one process that dies takes its neighbours along


# --- one run ----------------------------------------------------------------------------------


def identity(config: dict) -> str:
    """12 digits that tell one run from another."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]


def fit_settings(config: dict) -> dict:
    """The part of a config that `fit` takes."""
    names = ("steps", "batch_size", "warmup", "decay", "clip", "learning_rate", "seed")
    return {name: config[name] for name in names}


@cache
def materials(base: str, task: str):
    """(model, tokenizer, task, facts about both); a process loads them once."""
    import torch

    from peft_lab import fingerprint, load_base, load_task

    torch.set_num_threads(1)
    model, tokenizer = load_base(base)
    digest = hashlib.sha256()
    for split in ("train", "validation", "test"):
        file = data_dir() / "tasks" / task / f"{split}.jsonl"
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    facts = {"base_fingerprint": fingerprint(model), "task_sha256": digest.hexdigest()[:16]}
    return model, tokenizer, load_task(task, tokenizer), facts


def make_method(spec: dict, config: dict, starts: Path):
    """The method that a config describes, not attached; None for the base alone."""
    import torch

    import peft_lab

    model, tokenizer, _, _ = materials(config["base"], config["task"])
    options = {k: v for k, v in spec.items() if k not in ("kind", "rate_factors")}
    if spec["kind"] in UNTRAINED:
        return None
    if spec["kind"] == "Compose":
        return peft_lab.Compose(make_method(s, config, starts) for s in spec["members"])
    if spec["kind"] == "Trained":  # what another run has trained: to go on from, or to build upon
        return train_start({**config, **spec["trained"]}, starts).requires_grad_(spec["live"])
    kind = getattr(peft_lab, spec["kind"])
    init = options.get("init")
    if init == "normal":
        generator = torch.Generator().manual_seed(config["seed"])
        width = model.get_input_embeddings().weight.shape[1]
        options["init"] = torch.randn(options["length"], width, generator=generator)
    elif isinstance(init, dict):
        trained = train_start({**config, **init["trained"]}, starts)
        is_prompt = spec["kind"] == "PromptTuning"
        options["init"] = trained.vectors().detach() if is_prompt else trained
    if "text" in options:
        options["tokenizer"] = tokenizer
    if "seed" in inspect.signature(kind).parameters:
        options["seed"] = config["seed"]
    return kind(**options)


def train_start(config: dict, starts: Path):
    """The trained method that another run begins with. Kept in `starts`, made if not there."""
    import torch

    from peft_lab import Method

    model, _, _, facts = materials(config["base"], config["task"])
    folder = starts / f"{identity(config)}-{facts['base_fingerprint']}-{facts['task_sha256']}"
    if not folder.is_dir():
        method = make_method(config["method"], config, starts)
        with method.attach(model):
            train(model, drawn_rows(task_of(config).train, config), method, config)
        starts.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=starts) as aside:
            method.save(Path(aside) / "method")
            with contextlib.suppress(OSError):  # another process was faster, with the same bits
                os.replace(Path(aside) / "method", folder)
    method = Method.load(folder)
    with torch.no_grad(), method.attach(model):  # its tensors are taken up by attaching
        pass
    return method


def task_of(config: dict):
    """The task of a config: of `instructions`, perhaps, some families only, to train on and to
    choose the rate by. The test rows are all of them."""
    from peft_lab.instructions import of_families

    task = materials(config["base"], config["task"])[2]
    if "families" not in config:
        return task
    chosen = {split: of_families(getattr(task, split), config["families"])
              for split in ("train", "validation")}  # fmt: skip
    return replace(task, **chosen)


def drawn_rows(examples: list, config: dict) -> list:
    """All examples to train on, or `train_rows` of them: a smaller number takes the first of a
    larger one, and the seed says which, so that the spread over seeds holds their luck too."""
    if "train_rows" not in config:
        return examples
    shuffled = random.Random(config["seed"]).sample(examples, len(examples))
    return shuffled[: config["train_rows"]]


def train(
    model, examples: list, method, config: dict, clock: Callable[[], float] = time.perf_counter
) -> tuple[list, list[float]]:
    """Returns the training loss of each step and the milliseconds of each but the first."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    from peft_lab import fit

    ticks: list[float] = []
    hook = register_optimizer_step_post_hook(lambda *_: ticks.append(clock()))
    try:
        history = fit(
            model, examples, method, **fit_settings(config), evaluate_every=0, progress=False,
            live_curve=False, rate_factors=config["method"].get("rate_factors"),
        )  # fmt: skip
    finally:
        hook.remove()
    steps = [1000 * (b - a) for a, b in zip(ticks, ticks[1:], strict=False)]
    return history.train, steps


def run(config: dict, *, items: bool, starts: Path) -> dict:
    """Train, score and measure. Losses in nats a token.

    Raises:
        FloatingPointError: the run diverged.
    """
    from peft_lab import count_parameters

    began = time.perf_counter()
    model, tokenizer, _, _ = materials(config["base"], config["task"])
    task = task_of(config)
    method = make_method(config["method"], config, starts)
    rows = drawn_rows(task.train, config)
    is_baseline = config["method"]["kind"] in baselines.KINDS
    request = config["method"].get("text") if method is None else None
    found = {
        "parameters": 0, "kept_parameters": 0, "file_bytes": 0, "memory": None,
        "step_ms": None, "step_ms_p10": None, "curve": [],
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        if method is not None:
            stack.enter_context(method.attach(model))
            found["parameters"] = method.num_parameters()
        if config["steps"]:
            found["memory"] = measured_memory(model, rows, method, config["batch_size"])
            curve, milliseconds = train(model, rows, method, config)
            found["curve"] = thinned(curve)
            if len(milliseconds) > 1:
                found["step_ms"] = round(statistics.median(milliseconds), 2)
                found["step_ms_p10"] = round(statistics.quantiles(milliseconds, n=10)[0], 2)
        if is_baseline:
            scores = baselines.score(config["method"], model, tokenizer, task)
        else:
            scores = score(model, config["base"], task, request)
        if items and not is_baseline:
            scores |= of_this_task(model, tokenizer, task, request)
    if method is not None:
        if config["method"].get("mlp"):
            method.drop_mlp()
        if config["method"]["kind"] == "PTuning":
            method.drop_encoder()
        found["kept_parameters"] = count_parameters(method)
        with tempfile.TemporaryDirectory() as folder:
            method.save(folder)
            found["file_bytes"] = sum(file.stat().st_size for file in Path(folder).iterdir())
    if method is None:
        scores["test_item_tokens"] = baselines.scored_tokens(task.test)
    weights = [weight for _, weight in ITEMS.values()]
    for name, value in scores.items():  # the texts' weights are the same in all: the base's will do
        if "item" not in name or (items and (method is None or name not in weights)):
            found[name] = value
    return found | {"seconds": round(time.perf_counter() - began, 2)}


def score(model, base: str, task, request: str | None = None) -> dict:
    """Losses on validation and test, at the end and nowhere else; where the task has few different
    targets, the accuracy too; and the loss on stories, to see what was forgotten. A request stands
    before each row."""
    from peft_lab import evaluate, known_tasks
    from peft_lab.evaluation import classify

    scores, tokenizer = {}, materials(base, task.name)[1]
    for split in ("validation", "test"):
        rows = getattr(task, split)
        rows = baselines.asked(rows, tokenizer, request) if request else rows
        result = evaluate(model, rows, pad_id=model.config.pad_token_id)
        if not math.isfinite(result.nats_per_token):
            raise FloatingPointError(f"the {split} loss is {result.nats_per_token}")
        scores[f"{split}_nats"] = round(result.nats_per_token, 6)
        scores[f"{split}_bits_per_byte"] = round(result.bits_per_byte, 6)
    scores["test_items"] = a_token(result.per_example, result.per_example_tokens)
    labels = sorted({example.target for example in task.train})
    if len(labels) <= MOST_LABELS:
        guesses = classify(model, tokenizer, rows, labels)
        right = [int(g == e.target) for g, e in zip(guesses, task.test, strict=True)]
        scores["test_accuracy"] = round(statistics.fmean(right), 6)
        scores["test_items_right"] = "".join(map(str, right))
    if "stories" in known_tasks() and not request:
        stories = materials(base, "stories")[2].test
        result = evaluate(model, stories, pad_id=model.config.pad_token_id)
        scores["story_nats"] = round(result.nats_per_token, 6)
        scores["story_items"] = a_token(result.per_example, result.per_example_tokens)
        scores["story_item_tokens"] = result.per_example_tokens
    return scores


def a_token(nats: list[float], tokens: list[int]) -> list[float]:
    """Nats a token of each text; 0 of one without tokens, which then has no weight either."""
    pairs = zip(nats, tokens, strict=True)
    return [round(n / count, 3) if count else 0.0 for n, count in pairs]


def of_this_task(model, tokenizer, task, request: str | None = None) -> dict:
    """What only this task can be asked: see the datasheets of `nepali`, `code` and `tables`. A
    request stands before each row."""
    from peft_lab.code_measures import good_lines, parses
    from peft_lab.evaluation import evaluate_byte_places, slot_recall, written_answers

    asked = baselines.asked(task.test, tokenizer, request) if request else task.test
    if task.name == "nepali":
        third = evaluate_byte_places(model, tokenizer, asked)[3, 3]
        return {
            "test_third_byte_nats": round(third.nats_per_token, 6),
            "test_items_third": a_token(third.per_example, third.per_example_tokens),
            "test_item_third_bytes": third.per_example_tokens,
        }
    if task.name == "instructions":
        return of_instructions(model, tokenizer, task)
    if task.name not in ("code", "tables"):
        return {}
    rows = task.test[:WRITTEN_ROWS]
    texts = written_answers(model, tokenizer, asked[:WRITTEN_ROWS], max_new_tokens=WRITTEN_TOKENS)
    pairs = [*zip(texts, (row.source for row in rows), strict=True)]
    if task.name == "tables":
        return {"test_slot_recall": round(statistics.fmean(slot_recall(*p) for p in pairs), 4)}
    return {
        "test_parses": round(statistics.fmean(parses(source, text) for text, source in pairs), 4),
        "test_good_lines": round(statistics.fmean(good_lines(text) for text, _ in pairs), 4),
    }


def of_instructions(model, tokenizer, task) -> dict:
    """Which answers are right word for word, and the losses where each test row is asked for
    every other job, a mean over these."""
    from peft_lab import written_answers
    from peft_lab.instructions import mean_nats, swapped
    from peft_lab.tasks import IGNORE

    answers = written_answers(model, tokenizer, task.test)
    right = [answer == row.target for answer, row in zip(answers, task.test, strict=True)]
    otherwise = mean_nats(model, swapped(task, tokenizer), tokenizer.pad_token_id)
    tokens = [int((row.labels != IGNORE).sum()) for row in task.test]
    return {
        "test_accuracy": round(statistics.fmean(right), 6),
        "test_items_right": "".join(str(int(each)) for each in right),
        "test_items_swapped": a_token(otherwise, tokens),
    }


def measured_memory(model, examples: list, method, batch_size: int) -> dict:
    """Bytes of a training step on the first batch of the training set, in its own order."""
    from peft_lab import collate, memory

    batch = collate(examples[:batch_size], model.config.pad_token_id)
    measured = memory(model, method, batch).measured
    names = ("weights", "gradients", "optimizer", "activations")
    return {name: getattr(measured, name) for name in names}


def thinned(curve: list) -> list:
    """(step, mean loss of the steps since the point before), some 15 points."""
    size = max(1, math.ceil(len(curve) / CURVE_POINTS))
    parts = [curve[i : i + size] for i in range(0, len(curve), size)]
    return [[part[-1][0], round(statistics.fmean(loss for _, loss in part), 3)] for part in parts]


@cache
def versions() -> dict:
    import torch
    import transformers

    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def machine() -> dict:
    return {"system": platform.system(), "processor": platform.machine(), "threads": 1}


@cache
def code_state() -> dict:
    """The commit, whether the package differs from it, and a hash of the package as it is."""

    def git(*arguments: str) -> str | None:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            return subprocess.run(
                ["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True
            ).stdout.strip()
        return None

    digest = hashlib.sha256()
    for file in sorted((ROOT / "peft_lab").rglob("*.py")):
        digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    dirty = git("status", "--porcelain", "--", "peft_lab")
    return {
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if dirty is None else bool(dirty),
        "code": digest.hexdigest()[:12],
    }


def execute(config: dict, items: bool, starts: Path, code: dict) -> dict:
    """A run, or its error, with all that tells how it was made (runs in a worker process)."""
    _, _, _, facts = materials(config["base"], config["task"])
    try:
        found = run(config, items=items, starts=starts)
    except Exception as error:  # whatever it is, the rest of the sweep goes on
        found = {"error": f"{type(error).__name__}: {error}"}
    return {
        "id": identity(config),
        "learning_rate": config["learning_rate"],
        "seed": config["seed"],
        "steps": config["steps"],
        "base": config["base"],
        **facts,
        "config": config,
        **found,
        "versions": versions(),
        "machine": machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        **code,
    }


# --- the store --------------------------------------------------------------------------------


def write_record(file: Path, record: dict) -> None:
    """One field a line, written aside and renamed: a reader never sees half a file."""
    lines = [f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in record.items()]
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    aside.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8", newline="\n")
    os.replace(aside, file)


@dataclass
class Store:
    """The finished runs in a folder, experiment by experiment."""

    folder: Path
    facts: dict = field(default_factory=dict)  # (base, task) -> what they are now; {}: any will do
    retry: bool = False
    runs: dict = field(default_factory=dict)  # (experiment, id) -> record

    def __post_init__(self):
        for file in sorted(self.folder.glob("*/*.json")):
            self.read(file)

    def read(self, file: Path) -> None:
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            experiment, key = record["experiment"], record["id"]
        except (OSError, ValueError, KeyError) as error:
            print(f"{file} cannot be read ({error}); it will be made again", file=sys.stderr)
            return
        if not (self.retry and "error" in record):
            self.runs[experiment, key] = record

    def current(self, record: dict | None) -> bool:
        """Is it a run that counts: on the base and the task as they are now?"""
        if record is None:
            return False
        now = self.facts.get((record["config"]["base"], record["config"]["task"]), {})
        return all(record[name] == value for name, value in now.items())

    def get(
        self, experiment: str, config: dict, arm: dict, items: bool, needs: Iterable[str] = ()
    ) -> dict | None:
        """The finished run with all fields that it needs, if there is one; one of another
        experiment is copied."""
        key = identity(config)

        def has(record: dict, names: Iterable[str]) -> bool:
            return "error" in record or all(name in record for name in names)

        own = self.runs.get((experiment, key))
        same = self.current(own) and (own["arm"], own["tags"]) == (arm["arm"], arm["tags"])
        if same and has(own, needs):
            return own
        for (_, other_key), other in list(self.runs.items()):
            if other_key == key and self.current(other) and has(other, needs):
                return self.add(experiment, other, arm, items)
        return None

    def add(self, experiment: str, record: dict, arm: dict, items: bool) -> dict:
        own = {"experiment": experiment, "arm": arm["arm"], "tags": arm["tags"]}
        rest = {k: v for k, v in record.items() if items or "item" not in k}
        record = {**own, **{k: v for k, v in rest.items() if k not in own}}
        write_record(self.folder / experiment / f"{record['id']}.json", record)
        self.runs[experiment, record["id"]] = record
        return record


# --- the plan ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    experiment: str
    arm: dict
    config: dict
    items: bool
    needs: tuple[str, ...] = ()


class Plan:
    """What is still to be done: a function of the grid and of the stored runs, nothing else.

    Args:
        experiments: as in `grid.EXPERIMENTS`.
        store: the finished runs.
        settings: in the place of those of `grid.SETTINGS` and of the experiments.
    """

    def __init__(self, experiments: dict, store: Store, settings: dict | None = None):
        self.experiments, self.store = experiments, store
        self.overrides = settings or {}

    def settings(self, experiment: str) -> dict:
        """Those of the grid, of the experiment, and of the command line, which counts most."""
        own = self.experiments[experiment].get("settings", {})
        return {**grid.SETTINGS, **own, **self.overrides}

    def arm(self, experiment: str, name: str) -> dict:
        return next(a for a in self.experiments[experiment]["arms"] if a["arm"] == name)

    def missing(self, experiment: str, arm: dict) -> list[Job]:
        """Runs that can start now. None left: the arm is done (or waits, see `blocked`)."""
        try:
            stages = self._stages(experiment, arm)
            return next((jobs for jobs in stages if jobs), [])
        except Undecided as wait_for:  # another arm's choice of a learning rate comes first
            return self.missing(wait_for.experiment, self.arm(wait_for.experiment, wait_for.arm))

    def chosen(self, experiment: str, arm: dict) -> float | None:
        """The arm's best learning rate.

        Raises:
            Undecided: its runs are not finished, or all have failed.
        """
        for jobs in self._rate_stages(experiment, arm, tried := []):
            if jobs:
                raise Undecided(experiment, arm["arm"])
        try:
            return best_learning_rate(self._runs(experiment, arm, tried))
        except ValueError as error:
            raise Undecided(experiment, arm["arm"], failed=True) from error

    def _stages(self, experiment: str, arm: dict) -> Iterator[list[Job]]:
        """Lists of missing runs: those of one stage must be done before the next can be told."""
        is_baseline = arm["method"]["kind"] in baselines.KINDS  # of which not all is measured
        shared = () if is_baseline else self.experiments[experiment].get("needs", ())
        needs = (*shared, *arm.get("needs", ()))
        if self.keeps_items(experiment, arm):  # `trim` keeps them where they are needed
            needs = (*needs, "test_items")
        elif texts := [name for name in needs if "item" in name]:
            raise ValueError(
                f"{experiment} needs {', '.join(texts)} but does not keep single texts: set "
                '"items": True.'
            )
        if arm["rates"] is grid.NO_TRAINING:
            seeds = self._seeds(experiment) if self._random(arm) else [None]
            yield self._lacking(experiment, arm, [(None, seed) for seed in seeds], needs)
            return
        yield from self._rate_stages(experiment, arm, [], needs)
        if self.experiments[experiment]["plan"] == "best":
            with contextlib.suppress(Undecided):  # all rates failed: nothing more to do
                best = self.chosen(experiment, arm)
                pairs = [(best, seed) for seed in self._seeds(experiment)]
                yield self._lacking(experiment, arm, pairs, needs)

    def _rate_stages(
        self, experiment: str, arm: dict, tried: list, needs: Iterable[str] = ()
    ) -> Iterator[list[Job]]:
        """The stages up to the choice of a rate; `tried` gets the rates. A "grid" is all of it, so
        there each run needs what is needed of the chosen ones."""
        tried += self._rates(arm)
        grid_plan = self.experiments[experiment]["plan"] == "grid"
        seeds = self._rate_seeds(experiment)
        pairs = [(rate, seed) for rate in tried for seed in seeds]
        yield self._lacking(experiment, arm, pairs, needs if grid_plan else ())
        while not grid_plan:
            try:
                best = best_learning_rate(self._runs(experiment, arm, tried))
            except ValueError:
                return
            new = self._beyond(arm, tried, best)
            if new is None:
                return
            tried.append(new)
            tried.sort()
            yield self._lacking(experiment, arm, [(new, seed) for seed in seeds])

    def _beyond(self, arm: dict, tried: list[float], best: float) -> float | None:
        """The next rate beyond the best one, if that lies at the edge of those tried."""
        first = self._rates(arm)
        place = grid.LADDER.index(best)
        if best == tried[0] and place > 0:
            widened, new = grid.LADDER.index(first[0]) - place, place - 1
        elif best == tried[-1] and place + 1 < len(grid.LADDER):
            widened, new = place - grid.LADDER.index(first[-1]), place + 1
        else:
            return None
        return grid.LADDER[new] if widened < grid.WIDEN else None

    def _rates(self, arm: dict) -> list[float]:
        rates = arm["rates"]
        if not isinstance(rates, dict):
            return list(rates)
        middle = grid.LADDER.index(self._choice_of(*rates["around"]))
        side = rates["count"] // 2
        return grid.LADDER[max(0, middle - side) : middle + side + 1]

    def _choice_of(self, experiment: str, name: str) -> float | None:
        return self.chosen(experiment, self.arm(experiment, name))

    def has_base(self, experiment: str) -> bool:
        """Is the base of the experiment at hand?"""
        from peft_lab import known_bases

        return self.settings(experiment)["base"] in known_bases()

    def keeps_items(self, experiment: str, arm: dict) -> bool:
        """Are the losses of single texts stored, of the whole experiment or of this arm?"""
        return arm.get("items", self.experiments[experiment].get("items", False))

    def _seeds(self, experiment: str) -> list[int]:
        return list(range(self.experiments[experiment]["seeds"]))

    def _rate_seeds(self, experiment: str) -> list[int]:
        """Those that every rate is tried with."""
        seeds = self._seeds(experiment)
        return seeds if self.experiments[experiment]["plan"] == "grid" else seeds[:1]

    def _random(self, arm: dict) -> bool:
        return arm["method"]["kind"] not in UNTRAINED

    def config(self, experiment: str, arm: dict, rate: float | None, seed: int | None) -> dict:
        settings = {**self.settings(experiment), **arm.get("settings", {}), **self.overrides}
        steps = 0 if arm["rates"] is grid.NO_TRAINING else settings["steps"]
        method = self._resolved(arm["method"], settings["steps"])
        own = {"steps": steps, "method": method, "learning_rate": rate, "seed": seed}
        return {**settings, **own}

    def _resolved(self, spec: dict, steps: int) -> dict:
        """A method's description in which other arms, named in it, stand with all settings."""
        if "members" in spec:
            return {**spec, "members": [self._resolved(one, steps) for one in spec["members"]]}
        if isinstance(spec.get("init"), dict):
            return {**spec, "init": self._resolved(spec["init"], steps)}
        if "trained" not in spec:
            return dict(spec)
        start = {
            "method": self.arm(*spec["trained"])["method"],
            "learning_rate": self._choice_of(*spec["trained"]),
            "steps": steps,
        }
        return {**spec, "trained": start}

    def _lacking(
        self, experiment: str, arm: dict, pairs: list, needs: Iterable[str] = ()
    ) -> list[Job]:
        items = self.keeps_items(experiment, arm)
        configs = [self.config(experiment, arm, *pair) for pair in pairs]
        return [
            Job(experiment, arm, config, items, tuple(needs))
            for config in configs
            if self.store.get(experiment, config, arm, items, needs) is None
        ]

    def _runs(self, experiment: str, arm: dict, rates: list) -> list[dict]:
        """The finished runs that decide about the rate."""
        seeds = self._rate_seeds(experiment)
        items = self.keeps_items(experiment, arm)
        configs = [self.config(experiment, arm, rate, seed) for rate in rates for seed in seeds]
        found = [self.store.get(experiment, config, arm, items) for config in configs]
        return [record for record in found if record is not None]

    def expected(self, experiment: str, arm: dict) -> int:
        """How many runs the arm needs, as far as can be told now."""
        seeds = self.experiments[experiment]["seeds"]
        if arm["rates"] is grid.NO_TRAINING:
            return seeds if self._random(arm) else 1
        tried: list[float] = []
        try:
            for jobs in self._rate_stages(experiment, arm, tried):
                if jobs:
                    break
        except Undecided:
            rates = arm["rates"]
            tried = [0.0] * (rates["count"] if isinstance(rates, dict) else len(rates))
        grid_plan = self.experiments[experiment]["plan"] == "grid"
        return len(tried) * seeds if grid_plan else len(tried) + seeds - 1

    def done(self, experiment: str, arm: dict) -> list[dict]:
        """The stored runs of an arm that count."""
        found = [r for (e, _), r in self.store.runs.items() if e == experiment]
        return [r for r in found if r["arm"] == arm["arm"] and self.store.current(r)]


class Undecided(Exception):
    """The best learning rate of an arm is needed before it is known."""

    def __init__(self, experiment: str, arm: str, failed: bool = False):
        super().__init__(f"{experiment}/{arm}")
        self.experiment, self.arm, self.failed = experiment, arm, failed


# --- doing it ---------------------------------------------------------------------------------


class Sweep:
    """Works a plan off, with `jobs` processes side by side (1: in this process)."""

    def __init__(self, plan: Plan, names: list[str], jobs: int = 1, starts: Path | None = None):
        self.plan, self.names, self.jobs = plan, names, jobs
        self.starts = starts or STARTS
        self.attempts: dict[str, int] = {}
        self.seconds: list[float] = []

    def next_job(self, busy: set[str]) -> Job | None:
        """The first missing run in the order of the grid that is not being made."""
        for experiment in self.names:
            for arm in self.plan.experiments[experiment]["arms"]:
                for job in self.plan.missing(experiment, arm):
                    if identity(job.config) not in busy:
                        return job
        return None

    def work(self) -> int:
        """Make all missing runs; returns how many there were."""
        if self.jobs == 1:
            made = 0
            while job := self.next_job(set()):
                record = execute(job.config, job.items, self.starts, code_state())
                self.finish(job, record)
                made += 1
            return made
        return self._work_side_by_side()

    def _work_side_by_side(self) -> int:
        made, running = 0, {}
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.jobs, mp_context=context)
        try:
            while True:
                busy = {identity(job.config) for job in running.values()}
                while len(running) < self.jobs and (job := self.next_job(busy)):
                    busy.add(identity(job.config))
                    try:
                        future = pool.submit(
                            execute, job.config, job.items, self.starts, code_state()
                        )
                    except BrokenProcessPool:  # noticed here before a result tells of it
                        break
                    running[future] = job
                if not running:
                    return made
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                broken = False
                for future in finished:
                    job = running.pop(future)
                    record = self._record(future, job)
                    broken |= isinstance(future.exception(), BrokenProcessPool)
                    if record is not None:
                        self.finish(job, record)
                        made += 1
                if broken:
                    pool.shutdown()
                    pool = ProcessPoolExecutor(self.jobs, mp_context=context)
        finally:
            pool.shutdown(cancel_futures=True)

    def _record(self, future: Future, job: Job) -> dict | None:
        """What a worker brought; None if its process died and the run is to be tried again."""
        try:
            return future.result()
        except BrokenProcessPool as error:
            key = identity(job.config)
            self.attempts[key] = self.attempts.get(key, 0) + 1
            if self.attempts[key] < ATTEMPTS:
                return None
            return failure(job.config, error)

    def finish(self, job: Job, record: dict) -> None:
        lacking = [name for name in job.needs if name not in record and "error" not in record]
        if lacking:  # it would be made again and again
            raise RuntimeError(f"{job.experiment} needs {lacking}, which no run of it measures.")
        self.plan.store.add(job.experiment, record, job.arm, job.items)
        self.seconds.append(record.get("seconds", 0.0))
        print(self.line(job, record), flush=True)

    def trim(self) -> None:
        """Keep the losses of single items at the chosen rates only: the files stay small. In a
        grid every rate is a chosen one."""
        for experiment in self.names:
            if self.plan.experiments[experiment]["plan"] == "grid":
                continue
            for arm in self.plan.experiments[experiment]["arms"]:
                if arm["rates"] is grid.NO_TRAINING or self.plan.missing(experiment, arm):
                    continue
                with contextlib.suppress(Undecided):
                    best = self.plan.chosen(experiment, arm)
                    for record in self.plan.done(experiment, arm):
                        if record["learning_rate"] != best and "test_items" in record:
                            self.plan.store.add(experiment, record, arm, items=False)

    def line(self, job: Job, record: dict) -> str:
        """What was done, and the time left."""
        arms = [(name, arm) for name in self.names for arm in self.plan.experiments[name]["arms"]]
        done = sum(len(self.plan.done(*pair)) for pair in arms)
        expected = sum(max(self.plan.expected(*p), len(self.plan.done(*p))) for p in arms)
        left = (expected - done) * statistics.fmean(self.seconds[-40:]) / self.jobs
        told = record.get("error") or (
            f"validation {record['validation_nats']:.4f}, test {record['test_nats']:.4f}, "
            f"{record['seconds']:.1f} s"
        )
        rate = "" if record["learning_rate"] is None else f", rate {record['learning_rate']:g}"
        seed = "" if record["seed"] is None else f", seed {record['seed']}"
        return (
            f"{done}/{expected} {job.experiment}: {job.arm['arm']}{rate}{seed}: {told}; "
            f"{left / 60:.0f} min left"
        )


def failure(config: dict, error: BaseException) -> dict:
    """The record of a run whose process died."""
    _, _, _, facts = materials(config["base"], config["task"])
    return {
        "id": identity(config), "learning_rate": config["learning_rate"], "seed": config["seed"],
        "steps": config["steps"], "base": config["base"], **facts, "config": config,
        "error": f"{type(error).__name__}: {error}", "versions": versions(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"), **code_state(),
    }  # fmt: skip


def check(store: Store, starts: Path, seed: int | None = None) -> bool:
    """Make a random finished run once more; does it land within the spread over its seeds?

    The spread is highest less lowest test loss over the seeds of the same arm and rate.
    """
    groups: dict[tuple, list[dict]] = {}
    for (experiment, _), record in store.runs.items():
        if "error" not in record and record["seed"] is not None and store.current(record):
            groups.setdefault((experiment, record["arm"], record["learning_rate"]), []).append(
                record
            )
    groups = {key: runs for key, runs in groups.items() if len(runs) >= 3}
    if not groups:
        raise SystemExit("there is no finished run with three seeds to check: sweep first")
    chooser = random.Random(seed)
    runs = groups[chooser.choice(sorted(groups))]
    old = chooser.choice(sorted(runs, key=lambda r: r["seed"]))
    losses = [r["test_nats"] for r in runs]
    spread = max(losses) - min(losses)
    new = execute(old["config"], False, starts, code_state())
    told = f"{old['experiment']}/{old['id']} ({old['arm']}, seed {old['seed']})"
    if "error" in new:
        print(f"FAIL {told}: {new['error']}")
        return False
    difference = abs(new["test_nats"] - old["test_nats"])
    fine = difference <= spread
    print(
        f"{'ok' if fine else 'FAIL'} {told}: test loss {new['test_nats']:.6f}, stored "
        f"{old['test_nats']:.6f}; difference {difference:.6f}, spread over seeds {spread:.6f}"
    )
    if new["code"] != old["code"]:
        print(f"     the package has changed since: {old['code']} then, {new['code']} now")
    return fine


def show_list(plan: Plan, names: list[str]) -> None:
    for experiment in names:
        print(experiment)
        for arm in plan.experiments[experiment]["arms"]:
            done = plan.done(experiment, arm)
            failed = sum("error" in record for record in done)
            rate = "-"
            with contextlib.suppress(Undecided):
                if arm["rates"] is not grid.NO_TRAINING:
                    rate = f"{plan.chosen(experiment, arm):g}"
            print(
                f"  {arm['arm']:20} {len(done):3} of {plan.expected(experiment, arm):3} done, "
                f"{failed} failed, best rate {rate}"
            )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(grid.EXPERIMENTS)
    parser.add_argument("--experiment", action="append", choices=names, help="only this (again)")
    parser.add_argument("--jobs", type=int, default=1, help="processes side by side")
    parser.add_argument("--list", action="store_true", help="show what is done")
    parser.add_argument("--check", action="store_true", help="make one finished run again")
    parser.add_argument("--retry", action="store_true", help="try failed runs again")
    parser.add_argument("--out", type=Path, help="in the place of data/results")
    parser.add_argument("--base", help="another base: with --out, for a trial")
    parser.add_argument("--steps", type=int, help="another number of steps: with --out")
    args = parser.parse_args(arguments)
    if (args.base or args.steps) and not args.out:
        parser.error("--base and --steps change the grid: name a folder with --out for that")
    if args.jobs < 1:
        parser.error(f"--jobs must be at least 1, not {args.jobs}")

    folder = args.out or data_dir() / "results"
    settings = {}
    if args.base:
        settings["base"] = args.base
    if args.steps:
        settings["steps"] = args.steps
    store = Store(folder, retry=args.retry)
    plan = Plan(grid.EXPERIMENTS, store, settings)
    away = [name for name in names if not plan.has_base(name)]
    chosen = args.experiment or [name for name in names if name not in away]
    if args.list:
        show_list(plan, args.experiment or names)
        return 0
    for experiment in away:
        lacks = f"{plan.settings(experiment)['base']} is not pre-trained (tools/pretrain.py)"
        if experiment in chosen:
            parser.error(f"{experiment} cannot be made: {lacks}")
        print(f"{experiment} is left out: {lacks}")
    for experiment in chosen:
        base, task = (plan.settings(experiment)[name] for name in ("base", "task"))
        store.facts[base, task] = materials(base, task)[3]
    outdated = sum(not store.current(r) for r in store.runs.values() if "error" not in r)
    if outdated:
        print(f"{outdated} runs are of another base or task than those at hand: made again")
    if args.check:
        return 0 if check(store, STARTS) else 1
    sweep = Sweep(plan, chosen, args.jobs)
    try:
        made = sweep.work()
        sweep.trim()
    except KeyboardInterrupt:
        print("stopped; the same command goes on")
        return 130
    failed = [r for r in store.runs.values() if "error" in r]
    print(f"done: {made} runs made, {len(store.runs)} stored, {len(failed)} failed")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
