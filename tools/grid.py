"""The grid that tools/sweep.py runs, fixed before the first seed.

An experiment has arms (what is compared) and says how many seeds. Its plan is one of

    "best"   try the learning rates with seed 0, take the best on validation (a best at the edge
             adds the next rate, up to WIDEN on each side), then run all seeds at that rate;
    "grid"   run every learning rate with every seed.

A method is written as the class in `peft_lab` and its arguments. Three things are filled in when
a run starts: the seed, the tokenizer, and what another run has trained ({"trained": [experiment,
arm]}: the method of that arm at its best learning rate, with the seed of this run).

Settings of all runs are in SETTINGS; an experiment, and an arm of it, may have others
("train_rows": 32 trains on 32 rows only, drawn by the seed). "needs", of an experiment or an arm,
names fields that the runs at the chosen rate must have: those stored before the field was measured
are made again. "items" keeps the losses of single test texts there.
"""

SETTINGS = {
    "task": "poems",
    "base": "storyteller-micro",
    "steps": 150,
    "batch_size": 8,
    "warmup": 0.1,
    "decay": "linear",
    "clip": 1.0,
}
LAYERS = 4  # of storyteller-micro
WIDEN = 3
LADDER = [float(f"{digit}e{power}") for power in range(-6, 2) for digit in (1, 3)]


def rates(first: float, count: int = 6) -> list[float]:
    """`count` neighbours on the ladder ... 0.001, 0.003, 0.01, 0.03 ..."""
    start = LADDER.index(first)
    return LADDER[start : start + count]


def around(experiment: str, arm: str, count: int = 7) -> dict:
    """`count` (odd) rates around the best one of another arm."""
    return {"around": [experiment, arm], "count": count}


def arm(name: str, kind: str, learning_rates, tags: dict | None = None, **options) -> dict:
    """`tags` are for tables and figures; they change nothing in a run."""
    method = {"kind": kind, **options}
    return {"arm": name, "method": method, "rates": learning_rates, "tags": tags or {}}


def varied(arms: list[dict], setting: str, values: list) -> list[dict]:
    """Each arm once for each value of a setting: "LoRA 8, 32 train_rows"."""
    return [
        {
            **one, "arm": f"{one['arm']}, {value} {setting}", "settings": {setting: value},
            "tags": {"method": one["arm"], setting: value},
        }
        for value in values for one in arms
    ]  # fmt: skip


def prompt(name: str, learning_rates, tags: dict | None = None, **options) -> dict:
    return arm(name, "PromptTuning", learning_rates, tags, **{"length": 20, **options})


def prefix(name: str, learning_rates, tags: dict | None = None, **options) -> dict:
    return arm(name, "PrefixTuning", learning_rates, tags, **{"length": 20, **options})


def lora(name: str, learning_rates, tags: dict | None = None, **options) -> dict:
    return arm(name, "LoRA", learning_rates, tags, **options)


def together(name: str, learning_rates, *arms: dict, factors: dict | None = None) -> dict:
    """The methods of several arms at once, members at `factors` times the learning rate."""
    options = {"rate_factors": factors} if factors else {}
    members = [member["method"] for member in arms]
    return arm(name, "Compose", learning_rates, members=members, **options)


def trained(experiment: str, name: str, *, live: bool) -> dict:
    """What an arm has trained at its best rate, with the seed of this run. live: trained on."""
    return {"method": {"kind": "Trained", "trained": [experiment, name], "live": live}}


def layers(name: str, first: int, count: int, place: str) -> dict:
    tags = {"place": place, "count": count}
    return arm(name, "LayerFreezing", rates(3e-4), tags, first=first, count=count)


TEXT = "Write a little poem for a child, in four short lines, and let the lines rhyme."
PROMPT = {"trained": ["summary", "prompt"]}
NO_TRAINING = None  # in the place of learning rates: no step is taken

top = [layers(f"top {k}", LAYERS - k, k, "top") for k in range(1, LAYERS)]
bottom = [layers(f"bottom {k}", 0, k, "bottom") for k in range(1, LAYERS)]
middle = [  # an odd number of blocks has no middle among four; of one, it is the lower place
    layers("middle 1", (LAYERS - 1) // 2, 1, "middle"),
    layers("middle 2", (LAYERS - 2) // 2, 2, "middle"),
]
PROMPT_RATES = rates(3e-3)
PREFIX_RATES = around("summary", "prefix (text)", 3)
ADAPTER_RATES, LORA_RATES, IA3_RATES = rates(3e-4), rates(1e-3), rates(1e-2)
ATTENTION, FEED_FORWARD = ["q", "k", "v", "o"], ["gate", "up", "down"]
INITS = {"normal": "N(0, 1), as in peft", "random": "at the embeddings' scale"}


def freed(name: str, place: str, free: list[int]) -> dict:
    """A prefix that starts as what the prompt says, of which some layers are trained on."""
    learning_rates = PREFIX_RATES if free else NO_TRAINING
    tags = {"place": place, "count": len(free)}
    return prefix(name, learning_rates, tags, init=PROMPT, trainable=free)


# Every method so far, for tasks other than poems. A prefix starts from a text of the task.
MOOD_TEXT = "How does the one in the story feel? Afraid, angry, happy, proud, sad or surprised?"
BASE = arm("base", "Base", NO_TRAINING)
NGRAM = arm("5-gram", "NGram", NO_TRAINING, order=5)  # of the training rows alone
MAIN = [  # beside the base, the methods that are compared on every base and every task
    arm("full", "FullFineTuning", rates(1e-4)),
    prompt("prompt", PROMPT_RATES, init="vocabulary"),
    lora("LoRA 8", LORA_RATES, rank=8),
]
LORA_ALL = lora("LoRA 8, all", LORA_RATES, rank=8, targets="all")


def text_prefix(text: str) -> dict:
    return prefix("prefix (text)", rates(1e-3), init="text", text=text)


def untrained(text: str, *measures: str) -> list[dict]:
    """What is there without training: the base, the base that is asked for it, counting. The
    request is judged by the task's own measures too."""
    written = arm("written prompt", "WrittenPrompt", NO_TRAINING, text=text)
    return [BASE, {**written, "needs": measures}, NGRAM]


def main_methods(text: str, *more: dict, measure: str) -> list[dict]:
    """What every task is tried with: the main methods, and the next best of `poems`."""
    return [
        *untrained(text, measure),
        *MAIN[:2],
        text_prefix(text),
        LORA_ALL,
        *more,
        MAIN[2],
        top[1],
    ]


def every_method(text: str, *measures: str) -> list[dict]:
    return [
        *untrained(text, *measures),
        *MAIN,
        text_prefix(text),
        *top[:2],
        arm("BitFit", "BitFit", rates(1e-3)),
        arm("P-tuning", "PTuning", rates(1e-4), length=20, hidden=128),
        arm("Houlsby 8", "Adapter", ADAPTER_RATES, placement="houlsby", width=8),
        arm("Pfeiffer 16", "Adapter", ADAPTER_RATES, placement="pfeiffer", width=16),
        arm("parallel 16", "Adapter", ADAPTER_RATES, placement="parallel", width=16),
        arm("IA3", "IA3", IA3_RATES),
        LORA_ALL,
        lora("DoRA 8", LORA_RATES, rank=8, dora=True),
        arm("MAM", "MAMAdapter", ADAPTER_RATES, prefix_length=10, width=8),
        arm("UniPELT", "UniPELT", ADAPTER_RATES, prefix_length=5, rank=4, width=4),
    ]


TABLE_TEXT = "Write one sentence of a story in which all of these things appear."
NEPALI_TEXT = "नेपालीमा एउटा छोटो वाक्य लेख्नुहोस्।"  # Write a short sentence in Nepali.
CODE_TEXT = "Write the body of this Python function, so that it does what its docstring says."
THIRD = "test_items_third"  # each text's loss on the third bytes of its letters
TEXTS = {"moods": MOOD_TEXT, "tables": TABLE_TEXT, "code": CODE_TEXT, "nepali": NEPALI_TEXT}
TOP_2 = layers("top 2", -2, 2, "top")  # of as many blocks as the base has
# What those do who adapt a model to a script it has never seen: its token embeddings too (tied to
# the head here). Full fine-tuning's best rate is about a tenth of LoRA's. And the control: the
# embeddings alone.
EMBEDDINGS = arm("embeddings", "EmbeddingTuning", rates(1e-4))
WITH_EMBEDDINGS = together(
    "LoRA 8, all + embeddings", LORA_RATES, LORA_ALL, EMBEDDINGS, factors={"weights": 0.1}
)

# One task or many, as instructions: "one" is each of the trained families alone.
MANY = [MAIN[0], LORA_ALL, MAIN[1]]
FAMILIES = ("feeling", "time", "who", "colour", "past", "opposite")


def best(arms: list[dict], needs: tuple = (), **settings) -> dict:
    """Five seeds at each arm's best rate, with the losses of single texts."""
    needed = {"needs": [*needs]} if needs else {}
    return {"plan": "best", "seeds": 5, "items": True, **needed, "settings": settings, "arms": arms}


def on_base(name: str, *more: dict) -> dict:
    """The main methods on poems, on another base."""
    return best([BASE, *MAIN, text_prefix(TEXT), *more], base=name)


def one_task(arms: list[dict]) -> list[dict]:
    """Each arm on each family alone. The rates begin lower than with all families: with few rows
    the loss has two valleys over the rates, and the upper one may be a coin's throw."""
    return [
        {
            **one, "arm": f"{one['arm']}, {family} only", "settings": {"families": [family]},
            "rates": rates(LADDER[LADDER.index(one["rates"][0]) - 1]),
            "tags": {"method": one["arm"], "family": family},
        }
        for one in arms for family in FAMILIES
    ]  # fmt: skip


EXPERIMENTS = {
    "summary": {  # the end of 04: loss against trainable parameters
        "plan": "best",
        "seeds": 5,
        "items": True,  # keep the loss of each test item, for a bootstrap over them
        "arms": [
            arm("base", "Base", NO_TRAINING),
            arm("full", "FullFineTuning", rates(1e-4)),
            prompt("prompt", PROMPT_RATES, init="vocabulary"),
            prefix("prefix (text)", rates(1e-3), init="text", text=TEXT),
            prefix("prefix (MLP)", rates(3e-4), init="random", mlp=128),
            *top[:2],
            arm("BitFit", "BitFit", rates(1e-3)),
            arm("P-tuning", "PTuning", rates(1e-4), length=20, hidden=128),
        ],
    },
    "adapters": {  # 05: where to cut in, how wide
        "plan": "best",
        "seeds": 5,
        "items": True,
        "arms": [
            # the first three have about the same number of parameters
            arm("Houlsby 8", "Adapter", ADAPTER_RATES, placement="houlsby", width=8),
            arm("Pfeiffer 16", "Adapter", ADAPTER_RATES, placement="pfeiffer", width=16),
            arm("parallel 16", "Adapter", ADAPTER_RATES, placement="parallel", width=16),
            arm("IA3", "IA3", IA3_RATES),
            *(arm(f"parallel {width}", "Adapter", around("adapters", "parallel 16"),
                  {"width": width}, placement="parallel", width=width) for width in (1, 4, 64)),
        ],
    },
    "lora": {  # 06: rank, which modules, DoRA
        "plan": "best",
        "seeds": 5,
        "items": True,
        "arms": [
            lora("LoRA 8", LORA_RATES, {"rank": 8}, rank=8),
            lora("LoRA 8, all", LORA_RATES, rank=8, targets="all"),
            # about the same number of parameters, in one half of the block or the other
            lora("attention 8", LORA_RATES, rank=8, targets=ATTENTION),
            lora("feed-forward 6", LORA_RATES, rank=6, targets=FEED_FORWARD),
            lora("LoRA 3, all", around("lora", "LoRA 8, all"), rank=3, targets="all"),
            lora("DoRA 8", LORA_RATES, rank=8, dora=True),
            *(lora(f"LoRA {rank}", around("lora", "LoRA 8"), {"rank": rank}, rank=rank)
              for rank in (1, 2, 4, 16, 32)),
        ],
    },
    "alpha": {  # 06: alpha / rank is a learning rate in all but name
        "plan": "grid",
        "seeds": 3,
        "arms": [
            lora(f"alpha {alpha}", LORA_RATES, {"alpha": alpha}, rank=8, alpha=alpha)
            for alpha in (2, 8, 32)
        ],
    },
    "hybrids": {  # 07: two at once, at about the parameters of their parts
        "plan": "best",
        "seeds": 5,
        "items": True,
        "arms": [
            arm("MAM", "MAMAdapter", ADAPTER_RATES, prefix_length=10, width=8),
            arm("UniPELT", "UniPELT", ADAPTER_RATES, prefix_length=5, rank=4, width=4),
            together(
                "prompt + LoRA", LORA_RATES,
                prompt("prompt", PROMPT_RATES, init="vocabulary"), lora("LoRA", LORA_RATES, rank=8),
                factors={"embeddings": 30},  # a prompt's best rate is some 30 times LoRA's
            ),
            together(
                "prompt + full", rates(1e-4),
                prompt("prompt", PROMPT_RATES, init="vocabulary"),
                arm("full", "FullFineTuning", rates(1e-4)), factors={"embeddings": 300},
            ),
            together("LoRA + top 1", rates(3e-4), lora("LoRA", LORA_RATES, rank=8), top[0]),
            # one after the other: LoRA on a model that was fine-tuned whole, and at equal steps
            # the same model trained on, full fine-tuning in one go, LoRA in one go
            together("full, then LoRA 8", LORA_RATES, trained("summary", "full", live=False),
                     lora("LoRA", LORA_RATES, rank=8)),
            {**trained("summary", "full", live=True), "arm": "full, then full",
             "rates": rates(3e-5), "tags": {}},
            *({**one, "settings": {"steps": 300}, "arm": f"{one['arm']}, 300 steps"}
              for one in (arm("full", "FullFineTuning", rates(1e-4)),
                          lora("LoRA 8", LORA_RATES, rank=8))),
            # the parts of "prompt + LoRA", each with about as many numbers as the pair
            prompt("prompt 148", PROMPT_RATES, length=148, init="vocabulary"),
            lora("LoRA 9", LORA_RATES, rank=9),
        ],
    },
    "small": on_base("storyteller-small", TOP_2),  # 09: poems on the next larger base
    "base": on_base("storyteller-base", TOP_2),  # 09: and on the largest
    # 08: every method on sorting instead of writing
    "moods": best(
        [
            *every_method(MOOD_TEXT, "test_accuracy"),
            arm("majority", "Majority", NO_TRAINING),
            arm("bag of words", "BagOfWords", NO_TRAINING),
        ],
        task="moods",
    ),
    # 08: facts into a sentence
    "tables": best(main_methods(TABLE_TEXT, measure="test_slot_recall"), task="tables"),
    # 08: a script that the base has never seen
    "nepali": best(
        [
            {**one, "needs": [THIRD]} if one is NGRAM else one
            for one in main_methods(NEPALI_TEXT, WITH_EMBEDDINGS, EMBEDDINGS, measure=THIRD)
        ],
        needs=(THIRD,),
        task="nepali",
    ),
    # 08: another language, in letters that it knows
    "code": best(
        main_methods(CODE_TEXT, WITH_EMBEDDINGS, EMBEDDINGS, measure="test_parses"), task="code"
    ),
    # 08: do the embeddings beside LoRA want a higher rate of their own?
    "union": best(
        [
            {
                **WITH_EMBEDDINGS, "arm": f"{WITH_EMBEDDINGS['arm']}, factor {factor:g}",
                "method": {**WITH_EMBEDDINGS["method"], "rate_factors": {"weights": factor}},
            }
            for factor in (0.1, 1, 3)
        ],
        needs=(THIRD,),
        task="nepali",
    ),
    "rows": {  # 08: how many examples are needed (500, all: see `poems`)
        "plan": "best",
        "seeds": 5,
        "items": True,
        "arms": varied([*MAIN, text_prefix(TEXT)], "train_rows", [8, 32, 128]),
    },
    **{  # 08: the same on the other tasks; which were made, says data/results/README.md
        f"rows-{task}": best(
            varied([*MAIN, text_prefix(text)], "train_rows", [8, 32, 128]), task=task
        )
        for task, text in TEXTS.items()
    },
    "budget": {  # 08: how many steps are needed (150: see `poems`)
        "plan": "best",
        "seeds": 5,
        "arms": [
            *({**one, "items": True} for one in varied(MAIN[:2], "steps", [15])),  # 08's claim
            *varied([MAIN[2], text_prefix(TEXT), LORA_ALL], "steps", [15]),
            *varied([*MAIN, text_prefix(TEXT), LORA_ALL], "steps", [50]),
        ],
    },
    "forgotten": {  # 08: what the two forget, story by story, each at its best rate of `poems`
        "plan": "grid",
        "seeds": 5,
        "items": True,
        "needs": ["story_items"],
        "arms": [
            BASE,
            arm("full", "FullFineTuning", around("poems", "full", 1)),
            {**LORA_ALL, "rates": around("poems", "LoRA 8, all", 1)},
        ],
    },
    "sensitivity": {  # 08: how much hangs on the learning rate
        "plan": "grid",
        "seeds": 3,
        "arms": [*MAIN, text_prefix(TEXT), LORA_ALL],
    },
    "nano": on_base("storyteller-nano"),  # 08, 09: poems on the smallest base
    "poems": {  # 08: every method, with what each forgets
        "plan": "best",
        "seeds": 5,
        "items": True,
        "needs": ["story_nats"],
        "arms": every_method(TEXT),
    },
    # 08: a base that has read verse, to be set beside `small`, which has not
    "verse": on_base("storyteller-small-verse", TOP_2),
    "instructions": {  # 11: which data x which parameters
        "plan": "best",
        "seeds": 5,
        "items": True,
        "needs": ["test_items_swapped"],
        "settings": {"task": "instructions", "steps": 200, "batch_size": 16},
        "arms": [
            BASE,
            *MANY,
            *one_task(MANY[:2]),
            # the control: many tasks from as many rows as one has
            *varied(MANY[:2], "train_rows", [96]),
            # and many tasks in as many steps as the six of one task have together
            *varied([{**one, "rates": around("instructions", one["arm"], 3)} for one in MANY[:2]],
                    "steps", [1200]),
        ],
    },
    "layers": {  # 02: which blocks are trained
        "plan": "best",
        "seeds": 5,
        "arms": [*top, *bottom, *middle, layers("all", 0, LAYERS, "all")],
    },
    "init": {  # 03: initialisation and learning rate
        "plan": "grid",
        "seeds": 3,
        "arms": [
            prompt(init, PROMPT_RATES, {"init": INITS.get(init, init)}, init=init, **options)
            for init, options in (
                ("normal", {}), ("random", {}), ("vocabulary", {}), ("text", {"text": TEXT}),
            )
        ],
    },
    "length": {  # 03: how many vectors
        "plan": "best",
        "seeds": 5,
        "arms": [
            prompt(
                f"length {n}", around("init", "vocabulary", 3), {"length": n},
                length=n, init="vocabulary",
            )
            for n in (1, 2, 5, 10, 20, 50)
        ],
    },
    "freed": {  # 04: from one voice to one for each layer
        "plan": "best",
        "seeds": 5,
        "arms": [
            freed("free 0", "none", []),
            *(freed(f"free top {j}", "top", list(range(LAYERS - j, LAYERS)))
              for j in range(1, LAYERS)),
            *(freed(f"free bottom {j}", "bottom", list(range(j))) for j in range(1, LAYERS)),
            freed("free all", "all", list(range(LAYERS))),
            # the control: as many steps more for the prompt itself
            prompt("prompt, trained on", around("summary", "prompt", 3), init=PROMPT),
        ],
    },
    "depth": {  # 04: the same start, but a prefix in the lowest layers only
        "plan": "best",
        "seeds": 5,
        "arms": [
            arm("layers 0", "Base", NO_TRAINING, {"count": 0}),
            *(prefix(f"layers {k}", PREFIX_RATES, {"count": k}, init=PROMPT, layers=list(range(k)))
              for k in range(1, LAYERS)),
            prefix(f"layers {LAYERS}", PREFIX_RATES, {"count": LAYERS}, init=PROMPT,
                   trainable=list(range(LAYERS))),
        ],
    },
    "reparametrisation": {  # 04: with and without the MLP
        "plan": "grid",
        "seeds": 3,
        "arms": [
            prefix("direct", rates(1e-4, 8), {"mlp": None}, init="random"),
            prefix("MLP", rates(1e-4, 8), {"mlp": 128}, init="random", mlp=128),
        ],
    },
}  # fmt: skip
