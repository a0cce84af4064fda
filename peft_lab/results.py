"""The stored runs: read them, choose learning rates, sum up over seeds. See data/results."""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .paths import data_dir

LEAST_SEEDS = 3  # what a comparison needs


def known_experiments() -> list[str]:
    """The experiments that have stored runs."""
    return sorted({file.parent.name for file in data_dir().glob("results/*/*.json")})


def load_runs(experiment: str, *, failed: bool = False, folder: Path | None = None) -> list[dict]:
    """All finished runs of an experiment, ordered by arm, learning rate and seed.

    Args:
        experiment: one of `known_experiments()`.
        failed: the failed ones too; they have "error" and no losses.
        folder: in the place of data/results.

    Returns:
        One dict a run; data/results/README.md lists its fields.

    Raises:
        FileNotFoundError: no runs are stored.
        ValueError: a damaged file.
    """
    files = sorted(((folder or data_dir() / "results") / experiment).glob("*.json"))
    runs = []
    for file in files:
        try:
            runs.append(json.loads(file.read_text(encoding="utf-8")))
        except ValueError as error:
            raise ValueError(f"{file} is damaged ({error}); delete it and sweep again.") from error
    if not runs:
        raise FileNotFoundError(
            f"there are no runs of {experiment!r}; stored are: "
            f"{', '.join(known_experiments()) or 'none'}. To make them: {command(experiment)}"
        )
    runs.sort(key=lambda run: (run["arm"], run["learning_rate"] or 0, run["seed"] or 0))
    return [run for run in runs if failed or "error" not in run]


def command(experiment: str) -> str:
    """What makes the runs of an experiment."""
    return f"python tools/sweep.py --experiment {experiment}"


def origin(runs: Sequence[dict]) -> str:
    """For under a figure: "stored, 5 seeds, python tools/sweep.py --experiment summary"."""
    counts = {}
    for run in runs:
        if run["seed"] is not None:
            counts.setdefault((run["arm"], run["learning_rate"]), set()).add(run["seed"])
    seeds = max(map(len, counts.values()), default=1)
    return f"stored, {seeds} seeds, {command(runs[0]['experiment'])}"


def arms(runs: Iterable[dict]) -> dict[str, list[dict]]:
    """The runs of each arm, under its name."""
    groups: dict[str, list[dict]] = {}
    for run in runs:
        groups.setdefault(run["arm"], []).append(run)
    return groups


def check_comparable(runs: Iterable[dict]) -> None:
    """Runs compare only on the same base, bit by bit, and the same task.

    Raises:
        ValueError: they do not.
    """
    for name in ("base_fingerprint", "task_sha256"):
        found: dict[str, dict] = {}
        for run in runs:
            found.setdefault(run[name], run)
        if len(found) > 1:
            told = "; ".join(f"{k}: {r['base']}, {r['arm']}" for k, r in sorted(found.items()))
            raise ValueError(
                f"runs of different {name} cannot be compared ({told}); choose those of one, or "
                "sweep again what is outdated."
            )


def _loss(run: dict, value: str) -> float:
    """A run that failed, or came to no number, is infinitely bad."""
    loss = math.inf if "error" in run else run[value]
    return math.inf if math.isnan(loss) else loss


def rate_losses(runs: Sequence[dict], value: str = "validation_nats") -> dict[float, float]:
    """Mean of `value` for each learning rate of one arm, over the seeds that all rates have.

    A run that failed counts as infinitely bad. Given five seeds at the chosen rate and one at
    the others, that one seed decides, so that no rate is judged by more luck than another.
    """
    losses: dict[float, dict[int, float]] = {}
    for run in runs:
        losses.setdefault(run["learning_rate"], {})[run["seed"]] = _loss(run, value)
    shared = set.intersection(*map(set, losses.values())) if losses else set()
    if not shared:
        raise ValueError("the learning rates have no seed in common: the sweep is not done yet.")
    return {
        rate: statistics.fmean(of_seed[seed] for seed in shared)
        for rate, of_seed in sorted(losses.items(), key=lambda item: item[0] or 0)
    }


def best_learning_rate(runs: Sequence[dict]) -> float | None:
    """The learning rate of one arm with the lowest validation loss; None for what has none.

    Give the failed runs too, if there are any. The test loss plays no part.

    Raises:
        ValueError: runs of several arms, of none, or all have failed.
    """
    if len(arms(runs)) != 1:
        raise ValueError(f"runs must be of one arm, not of {sorted(arms(runs)) or 'none'}.")
    losses = rate_losses(runs)
    best = min(losses, key=losses.__getitem__)
    if math.isinf(losses[best]):
        raise ValueError(f"all runs of {runs[0]['arm']!r} have failed: {runs[0].get('error')}")
    return best


@dataclass(frozen=True)
class Spread:
    """One number for each seed, and what can be said of them."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return math.inf if math.inf in self.values else statistics.fmean(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    @property
    def sd(self) -> float:
        """Sample standard deviation (over n - 1); 0 for a single value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        if len(self.values) == 1:
            return f"Spread({self.mean:.4f})"
        return (
            f"Spread({self.mean:.4f} in {self.low:.4f} to {self.high:.4f}, sd {self.sd:.4f}, "
            f"{len(self)} seeds)"
        )


@dataclass(frozen=True)
class Row:
    """One arm at its best learning rate."""

    arm: str
    tags: dict
    loss: Spread  # of the value asked for; by default test loss in nats a token
    learning_rate: float | None
    at_edge: bool  # no rate beyond the best one was tried on one side
    parameters: int  # trained numbers
    kept_parameters: int  # after what only helps training is dropped
    file_bytes: int
    activation_bytes: int | None
    step_ms: float | None  # median over the steps, then over the seeds; other work disturbs it
    runs: list[dict] = field(repr=False)

    @property
    def seeds(self) -> int:
        return len(self.loss)


def summary(runs: Sequence[dict], value: str = "test_nats") -> list[Row]:
    """Each arm at its best learning rate, over its seeds; fewest trained parameters first.

    Args:
        runs: of one experiment, the failed ones too if there are any.
        value: "test_nats", "test_bits_per_byte", "validation_nats", ...

    Raises:
        ValueError: mixed bases or tasks, or an arm with fewer than 3 seeds. What has nothing
            random (the base alone) needs one run only.
    """
    check_comparable(runs)
    rows = []
    for name, group in arms(runs).items():
        rate = best_learning_rate(group)
        tried = sorted(rate_losses(group), key=lambda r: r or 0)
        chosen = [r for r in group if r["learning_rate"] == rate and "error" not in r]
        if len(chosen) < LEAST_SEEDS and chosen[0]["seed"] is not None:
            raise ValueError(
                f"{name!r} has {len(chosen)} seeds at learning rate {rate:g}; a comparison needs "
                f"at least {LEAST_SEEDS}. Finish the sweep: {command(chosen[0]['experiment'])}"
            )
        first = chosen[0]
        times = [run["step_ms"] for run in chosen if run["step_ms"] is not None]
        rows.append(
            Row(
                arm=name,
                tags=first["tags"],
                loss=Spread(tuple(run[value] for run in chosen)),
                learning_rate=rate,
                at_edge=len(tried) > 1 and rate in (tried[0], tried[-1]),
                parameters=first["parameters"],
                kept_parameters=first["kept_parameters"],
                file_bytes=first["file_bytes"],
                activation_bytes=(first["memory"] or {}).get("activations"),
                step_ms=statistics.median(times) if times else None,
                runs=chosen,
            )
        )
    return sorted(rows, key=lambda row: (row.parameters, row.arm))


def by_rate(runs: Sequence[dict], value: str = "test_nats") -> dict[str, dict[float, Spread]]:
    """For heat maps and curves over learning rates: arm -> learning rate -> spread over seeds.

    A failed run counts as infinity.

    Raises:
        ValueError: mixed bases or tasks.
    """
    check_comparable(runs)
    table: dict[str, dict[float, Spread]] = {}
    for name, group in arms(runs).items():
        losses: dict[float, list[float]] = {}
        for run in group:
            losses.setdefault(run["learning_rate"], []).append(_loss(run, value))
        table[name] = {rate: Spread(tuple(losses[rate])) for rate in sorted(losses)}
    return table


@dataclass(frozen=True)
class StepTime:
    """Training steps of one method, each told in that of full fine-tuning on the same batch."""

    rounds: tuple[float, ...]  # the median of each round's steps
    step_ms: float  # median, in milliseconds on the machine where it was measured
    operations: int  # of one step on the first batch: floating point operations of matrices

    @property
    def of_full(self) -> float:
        """The median over the rounds."""
        return statistics.median(self.rounds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Between these lies the middle half of the rounds."""
        low, _, high = statistics.quantiles(self.rounds, n=4)
        return low, high


def step_times(runs: Sequence[dict], *, folder: Path | None = None) -> dict[str, StepTime]:
    """How long a step takes, on the base and the task of these runs: arm -> step time.

    They were measured in turns (tools/step_times.py); the `step_ms` of a run was not.

    Raises:
        FileNotFoundError: nothing is stored for this base.
        ValueError: mixed runs, or times of another base or task of that name.
    """
    check_comparable(runs)
    base = runs[0]["base"]
    file = (folder or data_dir() / "results") / "step_times.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if base not in stored:
        raise FileNotFoundError(
            f"no step times of {base!r} are stored; stored are: {', '.join(stored) or 'none'}. To "
            f"make them: python tools/step_times.py --base {base}"
        )
    check_comparable([runs[0], {**stored[base], "arm": "the step times"}])
    return {
        arm: StepTime(tuple(found["of_full"]), found["step_ms"], found["operations"])
        for arm, found in stored[base]["arms"].items()
    }
