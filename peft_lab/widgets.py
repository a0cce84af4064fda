"""Things to play with: thin views over pure functions, each with a twin that needs no kernel.

A widget is three functions. The pure one takes plain numbers and gives plain values: the tests run
it over the whole grid of the sliders. The ``…_widget`` puts sliders before it and redraws when a
slider is let go. The ``…_table`` prints the same for readers on GitHub or on paper.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence

from .anatomy import dimensions, find_linears, role_sizes
from .operations import PLACES, module_bill
from .plots.style import count_text, size_text
from .text_measures import kind_of_text

# ---- 00: swap the file, and write on
# -------------------------------------------------------------------

Tell = Callable[[str, str, float, int], str]  # talent, first line, temperature, seed -> text


def talent_turn(
    tell: Tell, talent: str, line: str, own: str = "", temperature: float = 0.6, seed: int = 0
) -> dict:
    """One turn of the game: attach a file, write on from a first line, look at the form.

    Args:
        tell: does the swap and writes: tell(talent, line, temperature, seed).
        line: the first line that was chosen; ``own``, if it is not blank, goes before it.

    Returns:
        {"talent", "line", "text", "form"}; the form as ``kind_of_text`` has it.
    """
    line = " ".join(own.split()) or line
    text = tell(talent, line, temperature, seed)
    return {"talent": talent, "line": line, "text": text, "form": kind_of_text(text)}


def talent_table(texts: Mapping[str, Sequence[str]], lines: Sequence[str]) -> None:
    """Print each first line, and under it what each talent made of it, with its form.

    Args:
        texts: talent -> one text a line.
    """
    for i, line in enumerate(lines):
        print(line)
        for talent, found in texts.items():
            said = " / ".join(found[i].split("\n"))
            said = said if len(said) <= 56 else said[:54].rstrip() + " …"
            print(f"    {talent:<10}{kind_of_text(found[i]):<10}{said}")


def talent_widget(tell: Tell, talents: Sequence[str], lines: Sequence[str]) -> None:
    """Choose a file, a first line or one of your own, and the draw; the model writes at once."""
    from ipywidgets import Dropdown, IntSlider, SelectionSlider, Text, ToggleButtons

    def draw(talent, line, own, temperature, seed):
        turn = talent_turn(tell, talent, line, own, temperature, seed)
        print(f"{turn['line']}\n{_indented(turn['text'])}\n\nform: {turn['form']}")

    _play(
        draw,
        talent=ToggleButtons(options=list(talents), description="file"),
        line=Dropdown(options=list(lines), description="first line"),
        own=Text(placeholder="write one, then press Enter", description="or your own"),
        temperature=SelectionSlider(
            options=[0.0, 0.3, 0.6, 0.9, 1.2, 1.5],
            value=0.6,
            description="temperature",
            style={"description_width": "initial"},
        ),
        seed=IntSlider(min=0, max=9, description="draw"),
    )


# ---- 01: what the model wrote on the way; the memory planner
# ---------------------------------------


def sample_at(samples: Mapping[int, str], step: int) -> tuple[int, str]:
    """The last stored sample up to this step, and its step; before the first one, the first."""
    if not samples:
        raise ValueError("samples: none is stored.")
    earlier = [s for s in samples if s <= step]
    at = max(earlier) if earlier else min(samples)
    return at, samples[at]


def samples_table(samples: Mapping[int, str]) -> None:
    """Print every stored sample with its step."""
    for step in sorted(samples):
        print(f"after {step} steps")
        print(_indented(samples[step]))


def samples_widget(samples: Mapping[int, str]) -> None:
    """Go back and forth in training and read what the model wrote."""
    from ipywidgets import SelectionSlider

    def draw(step):
        at, text = sample_at(samples, step)
        print(f"after {at} steps\n")
        print(_indented(text))

    _play(draw, step=SelectionSlider(options=sorted(samples), description="step"))


def plan_memory(config, rows: int, length: int, method=None) -> dict[str, int]:
    """Bytes of one AdamW step in float32, from a config alone: ``accounting.memory``'s prediction
    without padding, every token scored.

    Args:
        rows, length: the batch, B x T.
        method: what is trained; None: every parameter.

    Returns:
        {"weights", "gradients", "optimizer", "activations": bytes}.

    Raises:
        ValueError: what training refuses, or a model whose activations are not predicted.
    """
    from .footprint import footprint
    from .methods import FullFineTuning

    told = footprint(config, method or FullFineTuning(), rows, length, "adamw", "float32")
    if told.activations is None:
        raise ValueError(f"config: the activations of this {config.model_type} are not predicted.")
    parts = ("weights", "gradients", "optimizer", "activations")
    return {part: getattr(told, part) for part in parts}


def _cut(config, length: int) -> int:
    """So many tokens, or the model's whole context."""
    return min(length, dimensions(config).context or length)


def memory_table(
    configs: Mapping[str, object], rows: Sequence[int] = (1, 8, 32), length: int = 128
) -> None:
    """Print the plan for each model and batch; a longer text is cut to the model's context."""
    print(f"{'model':<10}{'batch':>12}{'weights':>11}{'gradients':>11}{'optimizer':>11}"
          f"{'activations':>13}{'total':>11}")  # fmt: skip
    for name, config in configs.items():
        tokens = _cut(config, length)
        for count in rows:
            plan = plan_memory(config, count, tokens)
            cells = [size_text(plan[p]) for p in ("weights", "gradients", "optimizer")]
            ends = f"{size_text(plan['activations']):>13}{size_text(sum(plan.values())):>11}"
            batch = f"{count} x {tokens}"
            print(f"{name:<10}{batch:>12}" + "".join(f"{c:>11}" for c in cells) + ends)


def memory_widget(configs: Mapping[str, object]) -> None:
    """Choose model, batch and length; see what fills the memory when everything is trained."""
    from ipywidgets import SelectionSlider, ToggleButtons

    def draw(model, rows, length):
        from . import plots

        length = _cut(configs[model], length)
        plan = plan_memory(configs[model], rows, length)
        biggest = max(plan, key=plan.get)
        title = f"{model}, {rows} × {length} tokens: {size_text(sum(plan.values()))}"
        bars = {model: plan}
        plots.show(
            plots.memory_stack(bars, title, size=(576, 200)),
            see=f"the largest part is {biggest}, {size_text(plan[biggest])}.",
        )

    _play(
        draw,
        model=ToggleButtons(options=list(configs), description="model"),
        rows=SelectionSlider(options=[1, 2, 4, 8, 16, 32, 64], value=8, description="rows"),
        length=SelectionSlider(options=[32, 64, 128, 256, 512], value=128, description="tokens"),
    )


# ---- 02: which blocks are live
# -----------------------------------------------------------------------


def blocks_bill(config, first: int, last: int, *, rows: int = 8, length: int = 64) -> dict:
    """The bill for training blocks first … last (both included), from the config alone.

    Work is counted in operations: forward, once through all; backward, down to the lowest live
    block, and once more for the gradients of live weights.

    Returns:
        {"live": range, "trained": parameters, "share": of all parameters, "passed": blocks that
        the gradient goes through, "work": relative to full fine-tuning, "bytes": of one step}.
    """
    from .footprint import rehearsal, total_parameters
    from .methods import FullFineTuning, LayerFreezing

    layers = dimensions(config).layers
    if not 0 <= first <= last < layers:
        raise ValueError(f"first={first}, last={last}: the model has blocks 0 to {layers - 1}.")
    live = range(first, last + 1)
    method = LayerFreezing(first, len(live))
    trained = method.expected_parameters(config)
    needed = plan_memory(config, rows, length, method)
    work, whole = (
        rehearsal(config, one, rows, length, "float32").operations
        for one in (method, FullFineTuning())
    )
    return {
        "live": live,
        "trained": trained,
        "share": trained / total_parameters(config),
        "passed": layers - first,
        "work": work / whole,
        "bytes": sum(needed.values()),
    }


def blocks_table(config) -> None:
    """Print the bill of every choice of neighbouring blocks."""
    layers = dimensions(config).layers
    print(f"{'live blocks':<14}{'trained':>10}{'gradient passes':>18}{'work':>8}{'memory':>10}")
    for count in range(1, layers + 1):
        for first in range(layers - count, -1, -1):
            bill = blocks_bill(config, first, first + count - 1)
            name = f"{first}" if count == 1 else f"{first} to {first + count - 1}"
            print(f"{name:<14}{count_text(bill['trained']):>10}{bill['passed']:>11} block"
                  f"{'s' if bill['passed'] > 1 else ' '}{bill['work']:>8.0%}"
                  f"{size_text(bill['bytes']):>10}")  # fmt: skip
    print("work: multiplications of one step, as a share of full fine-tuning's")
    print("memory: weights, gradients, optimizer and activations, 8 rows of 64 tokens, by formula")


def blocks_widget(config) -> None:
    """Choose which blocks are live; see the wall and the bill."""
    from ipywidgets import IntRangeSlider

    layers = dimensions(config).layers

    def draw(blocks):
        from . import plots

        bill = blocks_bill(config, *blocks)
        first, last = blocks
        name = f"block {first} live" if first == last else f"blocks {first} to {last} live"
        note = (
            f"{count_text(bill['trained'])} trained ({bill['share']:.0%}), "
            f"{bill['work']:.0%} of full fine-tuning's work, {size_text(bill['bytes'])}"
        )
        wall = plots.brick_wall(layers, {name: set(bill["live"])}, note)
        plots.show(wall, see=f"the gradient passes {bill['passed']} of {layers} blocks.")

    slider = IntRangeSlider(
        value=(layers - 1, layers - 1), min=0, max=layers - 1, description="live"
    )
    _play(draw, blocks=slider)


# ---- 03: a prompt of n vectors
# ------------------------------------------------------------------------


def prompt_places(n: int, tokens: Sequence[str], width: int, given: int = 1) -> dict:
    """What stands at each place when n vectors come before the tokens.

    Args:
        width: numbers in a vector, d.
        given: how many tokens at the front are not scored (bos, or a whole request).

    Returns:
        {"rows": lines for ``plots.sequence_rows``, "n", "parameters": n d, "bytes": in float32,
        "scored": how many tokens}.
    """
    if n < 0:
        raise ValueError(f"n={n}: a prompt has 0 vectors or more.")
    if not 1 <= given <= len(tokens):
        raise ValueError(f"given={given}: at least bos, at most all {len(tokens)} tokens.")
    places = n + len(tokens)
    rows = {
        "place holds": [*(f"p{i + 1}" for i in range(n)), *tokens],
        "position": list(range(places)),
        "mask": [1] * places,
        "label": [-100] * (n + given) + list(tokens[given:]),
    }
    scored = len(tokens) - given
    return {"rows": rows, "n": n, "parameters": n * width, "bytes": 4 * n * width, "scored": scored}


def prompt_table(
    tokens: Sequence[str], width: int, lengths: Sequence[int] = (0, 1, 5, 10, 20, 50)
) -> None:
    """Print what a prompt of each length costs."""
    print(f"{'vectors':>8}{'places':>8}{'scored':>8}{'parameters':>12}{'file':>10}")
    for n in lengths:
        at = prompt_places(n, tokens, width)
        print(f"{n:>8}{n + len(tokens):>8}{at['scored']:>8}{at['parameters']:>12,}"
              f"{size_text(at['bytes']):>10}")  # fmt: skip


def prompt_widget(tokens: Sequence[str], width: int, longest: int = 12) -> None:
    """Choose the length of the prompt; see positions, mask and labels move."""
    from ipywidgets import IntSlider

    def draw(n):
        from . import plots

        at = prompt_places(n, tokens, width)
        title = f"{n} vectors: {at['parameters']:,} parameters, {size_text(at['bytes'])}"
        plots.show(
            plots.sequence_rows(at["rows"], n, title),
            see=f"positions move by {n}; the scored tokens stay the same {at['scored']}.",
        )

    _play(draw, n=IntSlider(value=3, min=0, max=longest, description="vectors"))


# ---- 04: layers freed; who listens to the prefix
# ------------------------------------------------------


def freed_layers(config, length: int, k: int) -> dict:
    """A prompt's keys and values, set free in the top k layers.

    Returns:
        {"free": range of layers, "parameters": those that are trained, "bytes": in float32}.
    """
    from .methods import PrefixTuning

    layers = dimensions(config).layers
    if not 0 <= k <= layers:
        raise ValueError(f"k={k}: the model has {layers} layers.")
    free = range(layers - k, layers)
    count = PrefixTuning(length, trainable=free).expected_parameters(config)
    return {"free": free, "parameters": count, "bytes": 4 * count}


def freed_table(config, length: int, losses: Mapping[int, Sequence[float]] | None = None) -> None:
    """Print count, bytes and (where stored) loss for each number of layers freed.

    Args:
        losses: layers freed -> one held-out loss a seed.
    """
    print(
        f"{'layers freed':>12}{'trained':>10}{'file':>10}"
        + ("      loss (mean, least-most)" if losses else "")
    )
    for k in range(dimensions(config).layers + 1):
        at = freed_layers(config, length, k)
        line = f"{k:>12}{at['parameters']:>10,}{size_text(at['bytes']):>10}"
        if losses and k in losses:
            runs = losses[k]
            line += f"      {sum(runs) / len(runs):.3f}  {min(runs):.3f}-{max(runs):.3f}"
        print(line)


def freed_widget(config, length: int, losses: Mapping[int, Sequence[float]] | None = None) -> None:
    """Free the layers one by one; see which cells follow, which learn, and what it gives."""
    from ipywidgets import IntSlider

    layers = dimensions(config).layers

    def draw(k):
        from . import plots

        at = freed_layers(config, length, k)
        size = f"{at['parameters']:,} parameters, {size_text(at['bytes'])}"
        title = f"{k} of {layers} layers free: {size}"
        said = "the hatched cells still say what the prompt says."
        if losses and k in losses:
            mean = sum(losses[k]) / len(losses[k])
            said += f" Held-out loss, mean of {len(losses[k])} seeds: {mean:.3f}."
        plots.show(plots.tied_and_free(layers, min(length, 10), title, free=at["free"]), see=said)

    _play(draw, k=IntSlider(value=0, min=0, max=layers, description="free layers"))


def layer_shares(shares: Sequence, layer: int) -> list[list[float]]:
    """lambda of each head (rows) and token (columns) in one layer.

    Args:
        shares: a tensor or nested list (L, H, T) of shares between 0 and 1.
    """
    table = shares.tolist() if hasattr(shares, "tolist") else shares
    if not 0 <= layer < len(table):
        raise ValueError(f"layer={layer}: there are layers 0 to {len(table) - 1}.")
    return [[float(v) for v in head] for head in table[layer]]


def shares_table(shares: Sequence) -> None:
    """Print the mean share of each layer and head, in per cent."""
    layers = len(shares)
    heads = len(layer_shares(shares, 0))
    print("prefix's share of attention, mean over tokens")
    print(f"{'':<9}" + "".join(f"{f'head {h}':>8}" for h in range(heads)))
    for layer in range(layers):
        means = [sum(h) / len(h) for h in layer_shares(shares, layer)]
        print(f"layer {layer:<3}" + "".join(f"{m:>8.0%}" for m in means))


def shares_widget(shares: Sequence, tokens: Sequence[str]) -> None:
    """Choose a layer; see how much of each head's attention goes to the prefix, token by token."""
    from ipywidgets import IntSlider

    def draw(layer):
        from . import plots

        table = layer_shares(shares, layer)
        names = [f"head {i}" for i in range(len(table))]
        figure = plots.heat_map(
            table, names, list(tokens), f"Layer {layer}: who listens to the prefix?",
            xlabel="token", ylabel="", unit="share of attention (lambda)", limits=(0, 1),
            origin="live, 1 seed",
        )  # fmt: skip
        plots.show(figure, see="bright cells listen to the prefix, dark ones to the text.")

    _play(draw, layer=IntSlider(value=0, min=0, max=len(shares) - 1, description="layer"))


# ---- 05: a small module: where, how wide
# ------------------------------------------------------------------------------------


def _named(place: str) -> str:
    return place.capitalize() if place in ("houlsby", "pfeiffer") else place


def module_table(config, widths: Sequence[int] = (1, 4, 16, 64)) -> None:
    """Print what each place and width costs: numbers, file, multiply-adds a token."""
    print(f"{'place':<13}{'width':>6}{'parameters':>12}{'file':>10}{'operations':>12}{'share':>8}")
    for place in PLACES:
        for width in widths if not place.startswith("IA3") else (None,):
            bill = module_bill(config, place, width or 1)
            print(f"{_named(place):<13}{width or '-':>6}{bill['parameters']:>12,}"
                  f"{size_text(bill['bytes']):>10}{bill['operations']:>12,}"
                  f"{bill['share']:>8.1%}")  # fmt: skip
    print("operations: multiply-adds a token; share: of the model's own")


def module_widget(config, widest: int = 64) -> None:
    """Choose place and width; see the block, and what the module costs in all blocks."""
    from ipywidgets import SelectionSlider, ToggleButtons

    widths = [2**i for i in range(widest.bit_length())]

    def draw(place, width):
        from . import plots

        bill = module_bill(config, place, width)
        said = place if place.startswith("IA3") else f"{_named(place)}, width {width}"
        note = f"{count_text(bill['parameters'])} numbers, {size_text(bill['bytes'])}"
        figure = plots.cut_in_places(said, [place], notes={place: note})
        extra = f"{bill['operations']:,} multiply-adds a token more, {bill['share']:.1%}"
        plots.show(figure, see=f"{extra} of the model's own.")

    _play(
        draw,
        place=ToggleButtons(options=list(PLACES), value="pfeiffer", description="place"),
        width=SelectionSlider(options=widths, value=min(16, widths[-1]), description="width"),
    )


# ---- 06: rank and targets
# -----------------------------------------------------------------------------


def lora_targets(config) -> dict[str, tuple[str, ...]]:
    """The choices of layers, as the model's family names them: GPT-2 has no gate, and one layer
    for q, k and v."""
    layers = tuple(dimensions(config).family.linears)
    forward = tuple(role for role in layers if role in ("gate", "up", "down"))
    attention = tuple(role for role in layers if role not in forward)
    return {"q, v": ("q", "v"), "attention": attention, "feed-forward": forward, "all": layers}


def lora_bill(config, rank: int, targets: Sequence[str]) -> dict:
    """What LoRA of a rank on some linear layers holds, from the config alone.

    Returns:
        {"parameters", "bytes": in float32, "beside": numbers in the matrices that it changes,
        "share": of the model's parameters, "first": (outputs, inputs) of the first matrix}.

    Raises:
        ValueError: a rank below 1 or above a matrix's width, or a target that is not there.
    """
    from .footprint import total_parameters
    from .methods import LoRA

    sizes, sites = role_sizes(config), find_linears(config, targets)
    most = min(min(sizes[role]) for _, role in sites)
    if not 1 <= rank <= most:
        raise ValueError(f"rank={rank}: the matrices chosen allow 1 to {most}.")
    count = LoRA(rank, targets=targets).expected_parameters(config)
    inputs, outputs = sizes[sites[0][1]]
    return {
        "parameters": count,
        "bytes": 4 * count,
        "beside": sum(sizes[role][0] * sizes[role][1] for _, role in sites),
        "share": count / total_parameters(config),
        "first": (outputs, inputs),
    }


def _ranks(config, most: int = 64) -> list[int]:
    sizes = role_sizes(config)
    width = min(min(sizes[role]) for targets in lora_targets(config).values() for role in targets)
    return [2**i for i in range(12) if 2**i <= min(width, most)]


def lora_table(config) -> None:
    """Print parameters and their shares, of the model and of the matrices that are changed, for
    each rank and choice of layers."""
    print("trained numbers; their share of the model; their share of the matrices beside them")
    choices = lora_targets(config)
    print(f"{'rank':>4}" + "".join(f"{name:>21}" for name in choices))
    for rank in _ranks(config):
        cells = []
        for targets in choices.values():
            bill = lora_bill(config, rank, targets)
            part = bill["parameters"] / bill["beside"]
            cells.append(f"{bill['parameters']:,} {bill['share']:>6.1%} {part:>5.0%}")
        print(f"{rank:>4}" + "".join(f"{cell:>21}" for cell in cells))


def lora_widget(config) -> None:
    """Choose the rank and the layers; see A and B beside their matrix, and the bill."""
    from ipywidgets import SelectionSlider, ToggleButtons

    choices = lora_targets(config)

    def draw(rank, layers):
        from . import plots

        bill = lora_bill(config, rank, choices[layers])
        title = (
            f"{bill['parameters']:,} numbers ({size_text(bill['bytes'])}), {bill['share']:.1%} "
            "of the model"
        )
        part = bill["parameters"] / bill["beside"]
        figure = plots.low_rank(*bill["first"], rank, title)
        plots.show(figure, see=f"A and B hold {part:.0%} of what the matrices beside them hold.")

    ranks = _ranks(config)
    _play(
        draw,
        rank=SelectionSlider(options=ranks, value=ranks[min(3, len(ranks) - 1)],
                             description="rank"),
        layers=ToggleButtons(options=list(choices), description="layers"),
    )  # fmt: skip


# ---- 07: a budget split between a prompt and LoRA
# ------------------------------------------------------------------------------------


def split_bill(config, budget: int, vectors: int) -> dict:
    """What a budget of trained numbers buys when `vectors` of a prompt come first.

    Returns:
        {"vectors", "prompt" (its numbers), "rank" (of LoRA on q and v of all layers; the largest
        that fits), "lora" (its numbers), "left"}.

    Raises:
        ValueError: the prompt alone costs more than the budget.
    """
    from .methods import LoRA, PromptTuning

    prompt = vectors * PromptTuning(1).expected_parameters(config)
    if not 0 <= prompt <= budget:
        raise ValueError(f"vectors={vectors} cost {prompt:,} numbers of a budget of {budget:,}.")
    one = LoRA(1).expected_parameters(config)
    rank = (budget - prompt) // one
    lora = rank * one
    return {"vectors": vectors, "prompt": prompt, "rank": rank, "lora": lora,
            "left": budget - prompt - lora}  # fmt: skip


def split_table(config, budget: int, lengths: Sequence[int] = (0, 4, 20, 32, 64, 128)) -> None:
    """Print what is left for LoRA after prompts of several lengths."""
    print(f"{'vectors':>7}{'prompt':>10}{'rank':>6}{'LoRA':>10}{'left over':>11}")
    for vectors in lengths:
        bill = split_bill(config, budget, vectors)
        print(f"{vectors:>7}{bill['prompt']:>10,}{bill['rank']:>6}{bill['lora']:>10,}"
              f"{bill['left']:>11,}")  # fmt: skip
    print(f"of a budget of {budget:,} numbers; LoRA on queries and values of all layers")


def split_widget(config, budget: int) -> None:
    """Choose how many vectors the prompt has; see what the rest buys."""
    from ipywidgets import IntSlider

    def draw(vectors):
        from . import plots

        bill = split_bill(config, budget, vectors)
        parts = {"prompt": bill["prompt"], "LoRA": bill["lora"]}
        title = f"{vectors} vectors and rank {bill['rank']} of {budget:,} numbers"
        see = f"{bill['left']:,} numbers buy no whole rank and stay unused."
        see = (
            see if bill["left"] else "nothing is left over: the budget is spent to the last number."
        )
        plots.show(plots.budget_bar(parts, budget, title), see=see)

    most = budget // dimensions(config).embedding_size
    _play(draw, vectors=IntSlider(value=min(20, most), min=0, max=most, description="vectors"))


# ---- 09: what fits on which card
# ------------------------------------------------------------------------------------


def plan_bars(model, gpu: str, rows: int, length: int, precision: str = "bfloat16") -> dict:
    """What each method needs on a card, as ``plots.memory_stack`` takes it.

    Returns:
        {"bars": method -> what lies in memory at its peak, in bytes, "card": bytes of the card,
        "yes", "tight", "no": names of those that fit, hardly fit, do not fit, "plan": the
        ``planner.Plan``}. A text longer than the model's context is cut to it.
    """
    from .model_configs import as_config
    from .planner import plan

    config = as_config(model)
    length = _cut(config, length)
    made = plan(model, gpu=gpu, rows=rows, length=length, precision=precision)
    known = [one for one in made.methods if one.peak is not None]
    parts = ("weights", "gradients", "optimizer", "activations", "temporary")
    return {
        "bars": {one.name: {p: one.moment.get(p, 0) for p in parts} for one in known},
        "card": made.card.memory,
        **{v: [one.name for one in known if one.verdict == v] for v in ("yes", "tight", "no")},
        "plan": made,
    }


def plan_table(model, gpu: str = "24GB", rows: int = 1, length: int = 512) -> None:
    """Print what each method needs on a card."""
    from .planner import plan_table as print_plan

    print_plan(plan_bars(model, gpu, rows, length)["plan"])


def plan_widget(
    models: Sequence[str], cards: Sequence[str] = ("16GB", "24GB", "A100-80GB")
) -> None:
    """Choose model, card, batch and precision; see what fits."""
    from ipywidgets import Dropdown, SelectionSlider, ToggleButtons

    def draw(model, gpu, rows, length, precision):
        from . import plots
        from .planner import label

        at = plan_bars(model, gpu, rows, length, precision)
        title = f"{model} on {gpu}: {len(at['yes'])} of {len(at['bars'])} methods fit"
        figure = plots.memory_stack(
            {label(name): bar for name, bar in at["bars"].items()},
            title,
            size=(576, 420),
            origin="by formula",
            card=at["card"],
            what="peak of one training step",
        )
        tight = f" Tight, above nine tenths: {', '.join(map(label, at['tight']))}."
        tight *= bool(at["tight"])
        names = ", ".join(map(label, at["yes"])) or "none"
        plots.show(figure, see=f"the bars are peaks; the dashed line is the card, "
                   f"{at['card'] / 2**30:.1f} GiB. What fits: {names}.{tight}")  # fmt: skip

    _play(
        draw,
        model=Dropdown(options=list(models), description="model"),
        gpu=ToggleButtons(options=list(cards), description="card"),
        rows=SelectionSlider(options=[1, 2, 4, 8, 16, 32, 64], description="rows"),
        length=SelectionSlider(options=[128, 512, 2048], value=512, description="tokens"),
        precision=ToggleButtons(options=["bfloat16", "float32"], description="weights"),
    )


# ---- 08: which one, when -------------------------------------------------------------------------


def recommend_table() -> None:
    """Print, for each kind of task and each wish, the method that the stored runs point to."""
    from .recommend import TASKS, WISHES, recommend

    print(f"{'':<13}" + "".join(f"{wish:<27}" for wish in WISHES).rstrip())
    notes: dict[tuple[str, str, str], list[str]] = {}  # (mark, task, what is said) -> wishes
    for task in TASKS:
        cells = []
        for wish in WISHES:
            advice = recommend(task, wish=wish)
            said = [("+", sentence.text) for sentence in advice.sentences[2:]]  # tried later
            if advice.rival.outcome != "behind":  # the method is not shown to be ahead of it
                said.insert(0, ("*", f"without training a model: {advice.rival.text}"))
            for mark, text in said:
                notes.setdefault((mark, task, text), []).append(wish)
            cells.append(f"{' '.join([advice.method, *(mark for mark, _ in said)]):<27}")
        print(f"{task:<13}" + "".join(cells).rstrip())
    for (mark, task, text), wishes in notes.items():
        every = "all four" if len(wishes) == len(WISHES) else ", ".join(wishes)
        note = f"{mark} {task} ({every}): {text}"
        print(textwrap.fill(note, 100, subsequent_indent="  "))


def recommend_widget() -> None:
    """Say what you want to do; read what the stored runs say, and on what they rest."""
    from ipywidgets import Dropdown, SelectionSlider

    from .evidence import counts
    from .recommend import TASKS, WISHES, recommend

    def draw(task, wish, examples, parameters):
        print(recommend(task, wish=wish, examples=examples, parameters=parameters))

    tried = sorted({count for task in TASKS.values() for count in counts(task)})
    sizes = [("1.3 million", 1.3e6), ("125 million", 1.25e8), ("8 billion", 8e9)]
    _play(
        draw,
        task=Dropdown(options=[*TASKS], description="task"),
        wish=Dropdown(options=[*WISHES], description="besides"),
        examples=SelectionSlider(options=tried, value=500, description="examples"),
        parameters=Dropdown(options=sizes, description="your model"),
    )


# ---- 10: a thousand customers
# ------------------------------------------------------------------------------------

FILES = {  # what a customer's file holds -> bytes of one, in float32
    "prompt 20": lambda kinds, config: kinds.PromptTuning(20).expected_parameters(config),
    "prefix 5": lambda kinds, config: kinds.PrefixTuning(5).expected_parameters(config),
    "LoRA 8": lambda kinds, config: kinds.LoRA(8).expected_parameters(config),
    "LoRA 8, all": lambda kinds, config: kinds.LoRA(8, targets="all").expected_parameters(config),
}


def fleet_bill(config, customers: int, kind: str) -> dict[str, int]:
    """Bytes on the disk for so many customers, from the config alone.

    Args:
        kind: one of FILES. Files are in float32, the model in float16, headers are left out.

    Returns:
        {"models": a whole model each, "files": one model and a file each, "file": one file,
        "base": one model}.

    Raises:
        ValueError: fewer than one customer, or an unknown kind.
    """
    from . import methods
    from .footprint import total_parameters

    if customers < 1 or kind not in FILES:
        known = ", ".join(FILES)
        raise ValueError(f"customers={customers}, kind={kind!r}: 1 or more; one of {known}.")
    base, file = 2 * total_parameters(config), 4 * FILES[kind](methods, config)
    return {"models": customers * base, "files": base + customers * file, "file": file,
            "base": base}  # fmt: skip


def fleet_table(configs: Mapping[str, object], customers: int = 1000) -> None:
    """Print, for each model and kind of file, what so many customers need."""
    print(f"{'model':<20}{'a file holds':<14}{'one file':>10}{'a file each':>13}"
          f"{'a model each':>14}{'ratio':>7}{'at most':>9}")  # fmt: skip
    for name, config in configs.items():
        for kind in FILES:
            bill = fleet_bill(config, customers, kind)
            sizes = [size_text(bill[part]) for part in ("file", "files", "models")]
            print(f"{name:<20}{kind:<14}{sizes[0]:>10}{sizes[1]:>13}{sizes[2]:>14}"
                  f"{bill['models'] / bill['files']:>7.0f}"
                  f"{bill['base'] / bill['file']:>9,.0f}")  # fmt: skip
    print(f"{_customers(customers)}; the model in float16, the files in float32")
    print("at most: what the ratio comes close to with ever more customers")


def _customers(count: int) -> str:
    return f"{count:,} customer{'s' * (count > 1)}"


def fleet_widget(configs: Mapping[str, object]) -> None:
    """Choose a model, the kind of file and the number of customers; see two sums."""
    from ipywidgets import Dropdown, SelectionSlider, ToggleButtons

    def draw(model, kind, customers):
        from . import plots

        bill = fleet_bill(configs[model], customers, kind)
        ratio = bill["models"] / bill["files"]
        bars = {"a model each": bill["models"], "a file each": bill["files"]}
        plots.show(
            plots.log_dots(bars, f"{model}, {_customers(customers)}, {kind}: {ratio:.3g} to 1",
                           unit="bytes on the disk", text=size_text, span=(1e6, 2e14),
                           origin="by formula"),
            see=f"one file is {size_text(bill['file'])}, one model {size_text(bill['base'])}. With "
            f"ever more customers the ratio comes close to {bill['base'] / bill['file']:,.0f}.",
        )  # fmt: skip

    _play(
        draw,
        model=Dropdown(options=list(configs), description="model"),
        kind=ToggleButtons(options=list(FILES), value="prefix 5", description="a file"),
        customers=SelectionSlider(
            options=[1, 10, 100, 1000, 10_000], value=1000, description="customers"
        ),
    )


# ---- 11: ask for it in words
# ------------------------------------------------------------------------------------

Answer = Callable[[str, str, str], str]  # who, instruction, sentence -> what is written


def ask_turn(
    answer: Answer, who: str, words: str, about: str, own_words: str = "", own_about: str = ""
) -> dict:
    """Ask one model for something: chosen or own words, about a chosen or an own sentence.

    Args:
        answer: does it: answer(who, words, about).
        own_words, own_about: go before the chosen ones where they are not blank.

    Returns:
        {"who", "words", "about", "text"}
    """
    words = " ".join(own_words.split()) or words
    about = " ".join(own_about.split()) or about
    return {"who": who, "words": words, "about": about, "text": answer(who, words, about)}


def ask_table(answers: Mapping[str, Sequence[str]], asked: Sequence[str]) -> None:
    """Print each instruction, and under it what each model answered.

    Args:
        answers: model -> one answer an instruction.
    """
    for i, words in enumerate(asked):
        print(words)
        for who, texts in answers.items():
            print(f"    {who}: {' / '.join(texts[i].splitlines())}")


def ask_widget(
    answer: Answer, people: Sequence[str], words: Sequence[str], sentences: Sequence[str]
) -> None:
    """Choose a model, an instruction and a sentence, or write them yourself."""
    from ipywidgets import Dropdown, Text, ToggleButtons

    def draw(who, words, own_words, about, own_about):
        turn = ask_turn(answer, who, words, about, own_words, own_about)
        print(f"{turn['words']}\n{turn['about']}\n{_indented(turn['text'])}")

    own = {"placeholder": "write one, then press Enter", "description": "or your own"}
    _play(
        draw,
        who=ToggleButtons(options=list(people), description="model"),
        words=Dropdown(options=list(words), description="asked"),
        own_words=Text(**own),
        about=Dropdown(options=list(sentences), description="about"),
        own_about=Text(**own),
    )


# ---- the thin view
# ------------------------------------------------------------------------------------


def view(draw: Callable, **controls):
    """The box of controls above what ``draw`` shows; drawn anew when a control is let go."""
    from ipywidgets import Layout, VBox, interactive_output

    for control in controls.values():
        if hasattr(control, "continuous_update"):
            control.continuous_update = False  # not on every pixel of the way
        if not control.layout.width:
            control.layout = Layout(width="480px")
    return VBox([*controls.values(), interactive_output(draw, controls)])


def _play(draw: Callable, **controls) -> None:
    from IPython.display import display

    display(view(draw, **controls))


def _indented(text: str) -> str:
    import textwrap

    return "\n".join(
        row for line in text.split("\n") for row in textwrap.wrap(line, 78, initial_indent="    ",
                                                                   subsequent_indent="    ") or [""]
    )  # fmt: skip
