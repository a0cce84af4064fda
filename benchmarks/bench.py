"""Side by side with Hugging Face `peft`: time and memory of a training step.

    python course.py bench [--quick] [--base storyteller-micro]

Prints four tables (README.md, beside this file, tells how to read them) and ends with status 1 if
a claim does not hold: no method slower than with `peft` beyond the spread, none that keeps more
memory; `fit` on the course's tasks at most 0.85 of the time of the ordinary path with `peft`. Of
methods without a counterpart in `peft` it reports time and memory beside those of LoRA and of the
floor; of a batch that mixes tasks, the time beside that of its rows one after another.
"""

import argparse
import copy
import functools
import platform
import statistics
import sys
import time
import warnings
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from peft_lab import (  # noqa: E402
    IA3,
    IGNORE,
    Adapter,
    BitFit,
    Compose,
    EmbeddingTuning,
    FullFineTuning,
    LayerFreezing,
    LoRA,
    MAMAdapter,
    Method,
    PrefixTuning,
    PromptTuning,
    PTuning,
    Switch,
    UniPELT,
    fit,
    load_base,
    load_task,
    saved_activation_bytes,
    scored_nll,
)
from peft_lab.tasks import batches, collate, epoch_order  # noqa: E402

METHODS = ("prompt", "prefix", "prefix, MLP", "P-tuning", "LoRA", "LoRA, all", "DoRA", "IA3")
TASKS = ("poems", "moods", "tables")
ENOUGH = 0.85  # of the time of the ordinary path, geometric mean
SAME = 1e-5  # two losses closer than this are the same
WARM_UP, SEED, RATE, RANK = 2, 0, 1e-3, 8
OURS_ONLY = {  # methods without a counterpart in `peft`; length: of prompts and prefixes
    "Houlsby": lambda length: Adapter(8, "houlsby"),  # in two places, so as large as the next two
    "Pfeiffer": lambda length: Adapter(16, "pfeiffer"),
    "parallel": lambda length: Adapter(16, "parallel"),
    "MAM": lambda length: MAMAdapter(length, 16),
    "UniPELT": lambda length: UniPELT(length, RANK, 16),
    "BitFit": lambda length: BitFit(),
    "top 2": lambda length: LayerFreezing.top(2),
    "embeddings": lambda length: EmbeddingTuning(),
    "full": lambda length: FullFineTuning(),
    "prompt + LoRA": lambda length: Compose([PromptTuning(length), LoRA(RANK)]),
}
MIXED = {  # eight tasks, as eight customers might bring them; length: of prompts and prefixes
    "prompt": lambda length: PromptTuning(length),
    "short prompt": lambda length: PromptTuning(max(1, length // 4)),
    "P-tuning": lambda length: PTuning(length, 16),
    "prefix": lambda length: PrefixTuning(length),
    "short prefix": lambda length: PrefixTuning(max(1, length // 4)),
    "LoRA": lambda length: LoRA(RANK),
    "IA3": lambda length: IA3(),
    "adapter": lambda length: Adapter(16),
}
NEW_TOKENS = 20


@dataclass
class Row:
    """What was measured of one method, each for both of a pair and "floor" (or another pair of
    these three)."""

    name: str
    seconds: dict[str, list[float]]  # of one step, one number a round
    saved: dict[str, int]  # bytes kept for the backward pass of one step
    losses: dict[str, list[float]]  # of the first step of each round
    pair: tuple[str, str] = ("ours", "peft")

    def milliseconds(self, side: str) -> float:
        return 1000 * statistics.median(self.seconds[side])

    def ratios(self) -> np.ndarray:
        """Time of the pair's first over that of its second in the same round, (rounds,)."""
        first, second = (np.array(self.seconds[side]) for side in self.pair)
        return first / second

    def interval(self) -> tuple[float, float]:
        """Where the median of the ratios lies: 99% of 2,000 bootstrap samples of the rounds."""
        ratios = self.ratios()
        drawn = np.random.default_rng(SEED).choice(ratios, (2000, len(ratios)))  # (2000, rounds)
        low, high = np.quantile(np.median(drawn, axis=1), (0.005, 0.995))
        return float(low), float(high)

    def loss_difference(self) -> float:
        first, second = (self.losses[side] for side in self.pair)
        return max(abs(a - b) for a, b in zip(first, second, strict=True))


class AsBase(nn.Module):
    """A `peft` model that is called as its base is, so that `scored_nll` can ask it for the scored
    logits only: what both sides compute is then the same by construction."""

    def __init__(self, model: nn.Module, prompt: int):
        super().__init__()
        self.model, self.prompt = model, prompt  # prompt: positions that peft returns logits for

    def forward(self, logits_to_keep: torch.Tensor, **inputs):
        keep = nn.functional.pad(logits_to_keep, (self.prompt, 0))  # (B, n+T), False before
        return self.model(**inputs, logits_to_keep=keep)


class Floor(nn.Module):
    """The frozen model with the gradient to its input only: what every method pays at least that
    changes the input. One whose lowest numbers lie higher stops there, and may pay less."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model.requires_grad_(False)

    def forward(self, input_ids: torch.Tensor, logits_to_keep: torch.Tensor, **inputs):
        embeds = self.model.get_input_embeddings()(input_ids).requires_grad_()  # (B, T, d)
        return self.model(inputs_embeds=embeds, logits_to_keep=logits_to_keep, **inputs)


def both(model: nn.Module, name: str, length: int) -> tuple[Method, nn.Module]:
    """Our method, not yet attached, and a copy of the model with that of `peft`."""
    import peft

    told, hidden = (
        {"task_type": "CAUSAL_LM", "num_virtual_tokens": length},
        model.config.hidden_size,
    )
    width = {"encoder_hidden_size": hidden}
    kind = {"encoder_reparameterization_type": "MLP"}
    method, config = {
        "prompt": lambda: (PromptTuning(length), peft.PromptTuningConfig(**told)),
        "prefix": lambda: (PrefixTuning(length), peft.PrefixTuningConfig(**told)),
        "prefix, MLP": lambda: (
            PrefixTuning(length, mlp=hidden),
            peft.PrefixTuningConfig(**told, **width, prefix_projection=True),
        ),
        "P-tuning": lambda: (
            PTuning(length, hidden),
            peft.PromptEncoderConfig(**told, **width, **kind),
        ),
        "LoRA": lambda: (LoRA(RANK), peft.LoraConfig(r=RANK, lora_alpha=RANK)),
        "LoRA, all": lambda: (
            LoRA(RANK, targets="all"),
            peft.LoraConfig(r=RANK, lora_alpha=RANK, target_modules="all-linear"),
        ),
        "DoRA": lambda: (
            LoRA(RANK, dora=True),
            peft.LoraConfig(r=RANK, lora_alpha=RANK, use_dora=True),
        ),
        "IA3": lambda: (IA3(), peft.IA3Config()),
    }[name]()
    return method, peft.get_peft_model(copy.deepcopy(model), config).eval()


def take_over(theirs: nn.Module, method: nn.Module) -> None:
    """Give the `peft` model the numbers of our attached method."""
    with torch.no_grad():
        for ours, other in zip(method.parameters(), _in_our_order(theirs, method), strict=True):
            other.copy_(ours.reshape(other.shape))


def _disturb(method: Method) -> None:
    """Random numbers on top: a method that begins as the identity must show that it is there."""
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)


def _in_our_order(theirs: nn.Module, method: Method) -> list[nn.Parameter]:
    """The trained parameters of the `peft` model, as `method.parameters()` gives ours."""
    if hasattr(theirs, "prompt_encoder"):
        return list(theirs.prompt_encoder["default"].parameters())
    kinds = ("lora_A", "lora_B", "lora_magnitude")  # each of ours is in a list of its own
    if isinstance(method, IA3):
        kinds = ("k_proj", "v_proj", "down_proj")
    named = [(n, p) for n, p in theirs.named_parameters() if p.requires_grad]
    return [p for kind in kinds for n, p in named if kind in n]


def in_turn(
    name: str,
    sides: dict,
    saved: dict,
    rounds: int,
    prepare,
    steps: int = 1,
    pair=Row.pair,
    turns: tuple[str, ...] | None = None,
) -> Row:
    """Run the sides round by round, those of `turns` (None: the pair) taking turns at the first
    place, the others after them.

    Each side is a function of the round's number that runs `steps` steps and returns its first
    loss. Time is that of the processor, which other programs disturb least.
    """
    row = Row(name, {side: [] for side in sides}, saved, {side: [] for side in sides}, pair)
    turns = turns or pair
    rest = [side for side in sides if side not in turns]
    for number in range(WARM_UP + rounds):
        prepare()  # the same numbers on both sides, so the same losses
        first = number % len(turns)
        for side in (*turns[first:], *turns[:first], *rest):
            began = time.process_time()
            loss = sides[side](number)
            seconds = (time.process_time() - began) / steps
            if number >= WARM_UP:
                row.losses[side].append(loss)
                row.seconds[side].append(seconds)
    return row


def trained(module: nn.Module) -> list[nn.Parameter]:
    return [p for p in module.parameters() if p.requires_grad]


def one_step(model: nn.Module, batch: dict, optimizer=None) -> float:
    nats, count = scored_nll(model, batch)
    (nats / count).backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()
    return nats.item() / count


def step_sides(modules: dict[str, tuple[nn.Module, nn.Module]], batch: dict) -> tuple[dict, dict]:
    """The bytes that each side keeps, and its training step.

    Args:
        modules: side -> the model, and what holds the parameters that are trained (if any).
    """
    saved, sides = {}, {}
    for side, (module, owner) in modules.items():
        forward = functools.partial(scored_nll, module, batch)
        saved[side] = saved_activation_bytes(forward, module, owner)
        weights = trained(owner)
        optimizer = torch.optim.AdamW(weights, RATE) if weights else None
        sides[side] = lambda number, m=module, o=optimizer: one_step(m, batch, o)
    return saved, sides


def method_row(model: nn.Module, name: str, batch: dict, length: int, rounds: int) -> Row:
    """Forward, backward and AdamW step: the same batch, loss and scored positions on all sides."""
    method, theirs = both(model, name, length)
    as_base = AsBase(theirs, length if isinstance(method, (PromptTuning, PTuning)) else 0)
    floor = Floor(copy.deepcopy(model))
    with method.attach(model):
        _disturb(method)
        take_over(theirs, method)
        modules = {"ours": (model, method), "peft": (as_base, theirs), "floor": (floor, floor)}
        saved, sides = step_sides(modules, batch)
        return in_turn(name, sides, saved, rounds, lambda: take_over(theirs, method))


def method_rows(model: nn.Module, batch: dict, length: int = 20, rounds: int = 100) -> list[Row]:
    return [method_row(model, name, batch, length, rounds) for name in METHODS]


def ours_row(model: nn.Module, name: str, batch: dict, length: int, rounds: int) -> Row:
    """A training step of a method, of LoRA on a copy of the model, and of the floor. All three take
    turns, as the method is compared with both others. They compute different losses."""
    method, lora, plain = OURS_ONLY[name](length), LoRA(RANK), copy.deepcopy(model)
    floor = Floor(copy.deepcopy(model))
    with method.attach(model), lora.attach(plain):
        modules = {"ours": (model, method), "LoRA": (plain, lora), "floor": (floor, floor)}
        saved, sides = step_sides(modules, batch)
        return in_turn(
            name, sides, saved, rounds, lambda: None, pair=("ours", "LoRA"), turns=(*modules,)
        )


def ours_rows(model: nn.Module, batch: dict, length: int = 20, rounds: int = 100) -> list[Row]:
    return [ours_row(model, name, batch, length, rounds) for name in OURS_ONLY]


def shipped_row(model, name, kind, examples, *, length=20, steps=10, batch_size=8, rounds=16):
    """`fit` beside the ordinary path with `peft`, as in peft's own examples: rows padded to the
    longest of the task, `model(**batch).loss`, AdamW and a linear schedule."""
    from transformers import get_linear_schedule_with_warmup

    method, theirs = both(model, kind, length)
    floor, pad_id = Floor(copy.deepcopy(model)), model.config.pad_token_id or 0
    whole = collate(examples, pad_id)  # three tensors (examples, longest)
    padded = [{key: whole[key][i] for key in whole} for i in range(len(examples))]

    def ours(number: int) -> float:
        settings = {"steps": steps, "batch_size": batch_size, "learning_rate": RATE}
        quiet = {"progress": False, "live_curve": False}
        return fit(model, examples, method, seed=number, **settings, **quiet).train[0][1]

    def ordinary(number: int) -> float:
        order = epoch_order(len(examples), number, 0)[: steps * batch_size]  # that of `fit`
        optimizer = torch.optim.AdamW(trained(theirs), RATE)
        schedule = get_linear_schedule_with_warmup(optimizer, round(0.1 * steps), steps)
        losses = []
        for batch in torch.utils.data.DataLoader(padded, batch_size, sampler=order):
            loss = theirs(**batch).loss
            losses.append(loss.item())
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return losses[0]

    def least(number: int) -> float:  # the batches of `fit`
        stream = batches(examples, batch_size, pad_id=pad_id, seed=number)
        return [one_step(floor, batch) for batch in islice(stream, steps)][0]

    first = epoch_order(len(examples), SEED, 0)[:batch_size]
    batch = collate([examples[i] for i in first], pad_id)
    full = {key: whole[key][first] for key in whole}
    theirs.train()
    with method.attach(model):
        saved = {
            "ours": saved_activation_bytes(lambda: scored_nll(model, batch), model, method),
            "peft": saved_activation_bytes(lambda: theirs(**full), theirs),
            "floor": saved_activation_bytes(lambda: scored_nll(floor, batch), floor),
        }
        sides = {"ours": ours, "peft": ordinary, "floor": least}
        return in_turn(name, sides, saved, rounds, lambda: take_over(theirs, method), steps)


def shipped_rows(model: nn.Module, tasks: dict, **options) -> list[Row]:
    """Prompt and prefix on each of `tasks`: name -> training examples."""
    return [
        shipped_row(model, f"{task}, {kind}", kind, examples, **options)
        for task, examples in tasks.items()
        for kind in ("prompt", "prefix")
    ]


def mixed_rows(model: nn.Module, examples: list, length: int = 20, rounds: int = 50) -> list[Row]:
    """One batch of eight rows, each with a method of its own, against the eight rows one after
    another, each with its method attached to a copy of the model. Floor: the bare model on the
    batch. No gradients: this is serving. In place of a loss, generation tells the share of tokens
    that are those of the rows alone."""
    names, pad_id, pair = [*MIXED], model.config.pad_token_id or 0, ("mixed", "apart")
    members = {name: make(length) for name, make in MIXED.items()}
    alone, bare = {}, copy.deepcopy(model)
    for name, member in members.items():
        member.attach(model)
        _disturb(member)
        member.detach()
        alone[name] = copy.deepcopy(model)
        copy.deepcopy(member).attach(alone[name])  # the copy of the model keeps it
    rows = [[example] for example in examples[: len(names)]]
    batch, batches_of_one = collate(sum(rows, []), pad_id), [collate(row, pad_id) for row in rows]
    asked, asked_of_one = (
        [{key: b[key] for key in ("input_ids", "attention_mask")} for b in batches]
        for batches in ([collate(sum(rows, []), pad_id, side="left")], batches_of_one)
    )

    def loss(models: list, batches: list) -> float:
        pairs = [scored_nll(m, b) for m, b in zip(models, batches, strict=True)]
        nats, counts = zip(*pairs, strict=True)
        return float(sum(nats)) / sum(counts)

    def texts(models: list, batches: list) -> torch.Tensor:
        told = {"max_new_tokens": NEW_TOKENS, "min_new_tokens": NEW_TOKENS, "do_sample": False}
        made = [m.generate(**b, **told) for m, b in zip(models, batches, strict=True)]
        return torch.cat([text[:, -NEW_TOKENS:] for text in made])  # (8, new tokens)

    with Switch(members).attach(model) as switch, switch.rows(names), torch.no_grad():
        expected = texts([*alone.values()], asked_of_one)

        def agreement(models: list, batches: list) -> float:
            return float((texts(models, batches) == expected).double().mean())

        return [
            in_turn(
                name,
                {
                    "mixed": lambda _, fn=fn, b=one: fn([model], b),
                    "apart": lambda _, fn=fn, b=many: fn([*alone.values()], b),
                    "floor": lambda _, fn=fn, b=one: fn([bare], b),
                },
                {},
                rounds,
                prepare=lambda: None,
                pair=pair,
            )
            for name, fn, one, many in (
                ("forward", loss, [batch], batches_of_one),
                ("generate", agreement, asked, asked_of_one),
            )
        ]


def mixed_table(rows: list[Row]) -> str:
    """One line a row, as in `table`; last, how far the two sides' results lie apart."""
    lines = [
        f"{'':15}{'ms':^24} {'time, mixed / apart':^34}{'results':>9}",
        f"{'':15}{'mixed':>8}{'apart':>8}{'floor':>8}  {'median':>6} {'99% interval':>13} "
        f"{'10-90%':>12}{'differ':>9}",
    ]
    for row in rows:
        lines.append(f"{row.name:15}{_times(row)}{row.loss_difference():9.0e}")
    return "\n".join(lines)


def _times(row: Row) -> str:
    times = "".join(f"{row.milliseconds(side):8.1f}" for side in (*row.pair, "floor"))
    return f"{times}  {_ratios(row)}"


def _ratios(row: Row) -> str:
    ratios = row.ratios()
    spread = "-".join(f"{q:.3f}" for q in np.quantile(ratios, (0.1, 0.9)))
    interval = "-".join(f"{end:.3f}" for end in row.interval())
    return f"{np.median(ratios):6.3f} {interval:>13} {spread:>12}"


def _kept(row: Row) -> str:
    return "".join(f"{row.saved[side] / 2**20:7.2f}" for side in (*row.pair, "floor"))


def ours_table(rows: list[Row]) -> str:
    """One line a row, as in `table`, with the ratios to LoRA and those to the floor."""
    ratio = f"  {'median':>6} {'99% interval':>13} {'10-90%':>12}"
    lines = [
        f"{'':15}{'ms a step':^24}  {'time, ours / LoRA':^33}  {'time, ours / floor':^33}"
        f"{'MiB kept':^21}",
        f"{'':15}{'ours':>8}{'LoRA':>8}{'floor':>8}{ratio}{ratio}{'ours':>7}{'LoRA':>7}{'floor':>7}",
    ]
    for row in rows:
        to_floor = _ratios(replace(row, pair=("ours", "floor")))
        lines.append(f"{row.name:15}{_times(row)}  {to_floor}{_kept(row)}")
    return "\n".join(lines)


def scored_shares(examples: list) -> str:
    scored = sum(int((e.labels[1:] != IGNORE).sum()) for e in examples)
    real, longest = (f([len(e.input_ids) for e in examples]) for f in (sum, max))
    return f"{scored / real:.0%} of its tokens, {scored / (longest * len(examples)):.0%} padded"


def geometric_mean(rows: list[Row]) -> float:
    return statistics.geometric_mean(float(np.median(row.ratios())) for row in rows)


def table(rows: list[Row]) -> str:
    """One line a row; times are medians, memory is exact."""
    lines = [
        f"{'':15}{'ms a step':^24} {'time, ours / peft':^34}{'MiB kept':^21}{'ours':>7}",
        f"{'':15}{'ours':>8}{'peft':>8}{'floor':>8}  {'median':>6} {'99% interval':>13} "
        f"{'10-90%':>12}{'ours':>7}{'peft':>7}{'floor':>7}{'/ peft':>7}",
    ]
    for row in rows:
        memory = row.saved["ours"] / row.saved["peft"]
        lines.append(f"{row.name:15}{_times(row)}{_kept(row)}{memory:7.3f}")
    return "\n".join([*lines, f"geometric mean: {geometric_mean(rows):.3f}"])


def objections(method: list[Row], shipped: list[Row]) -> list[str]:
    """What speaks against the claims; empty if they hold."""
    found = []
    for row in (*method, *shipped):
        if row.loss_difference() > SAME * max(row.losses["peft"]):
            found.append(f"{row.name}: the losses differ by {row.loss_difference():.1e}")
    for row in method:
        if row.interval()[0] > 1:
            found.append(f"{row.name}: slower than peft, {np.median(row.ratios()):.3f}")
        if row.saved["ours"] > row.saved["peft"]:
            found.append(f"{row.name}: keeps {row.saved['ours'] - row.saved['peft']} bytes more")
    if geometric_mean(shipped) > ENOUGH:
        found.append(f"as shipped: {geometric_mean(shipped):.3f}, above {ENOUGH}")
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--base", default="storyteller-micro", help="a model of the course")
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, no proof")
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="peft")
    model, tokenizer = load_base(args.base)
    tasks = {name: load_task(name, tokenizer).train for name in TASKS}
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))
    print(f"{args.base}; {platform.machine()}, one thread; {packages}")

    batch = collate(tasks["poems"][:8], model.config.pad_token_id or 0)
    rounds = 12 if args.quick else 100
    rows, columns = batch["input_ids"].shape
    print(f"\nMethod: {rows} poems, {columns} tokens wide; the same loss; {rounds} rounds")
    method = method_rows(model, batch, rounds=rounds)
    print(table(method), flush=True)

    print(f"\nOurs only: no counterpart in `peft`, so beside LoRA; the same poems; {rounds} rounds")
    print(ours_table(ours_rows(model, batch, rounds=rounds)), flush=True)

    steps, rounds = (4, 3) if args.quick else (10, 16)
    print(f"\nAs shipped: `fit`, 8 rows a step; {rounds} rounds of {steps} steps")
    print("\n".join(f"  {name}: scored {scored_shares(tasks[name])}" for name in tasks))
    shipped = shipped_rows(model, tasks, steps=steps, rounds=rounds)
    print(table(shipped), flush=True)

    rounds = 6 if args.quick else 50
    print(f"\nMixed: 8 rows with a method each, in one batch and one by one; {rounds} rounds")
    print(mixed_table(mixed_rows(model, tasks["poems"], rounds=rounds)))

    found = objections(method, shipped)
    print("\n" + ("\n".join(["DOES NOT HOLD:", *found]) if found else "All claims hold."))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
