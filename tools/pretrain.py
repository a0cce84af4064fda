"""Pre-train the storyteller family: language models of stories, from nothing, resumable.

    python tools/corpus.py ../shared/corpora --out build/corpus       # clean text, works held out
    python tools/pretrain.py --prepare build/corpus --out build/run   # tokenizer and token files
    python tools/pretrain.py --size micro --out build/run             # train; go on if interrupted
    python tools/pretrain.py --evaluate --out build/run               # held-out table, model cards

Every size sees the same windows in the same order for the same number of steps; the learning rate
alone may differ (chosen by `--tune` on 5% of the steps). The schedule decays to zero and the last
step is what is shipped.
"""

import argparse
import hashlib
import json
import lzma
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from muon import Muon
from ngram import NGram
from safetensors import safe_open
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
BOS, EOS, PAD = "<bos>", "<eos>", "<pad>"
VOCABULARY, CONTEXT = 4096, 512
SIZES = {  # hidden size, layers, heads, feed-forward width
    "nano": (64, 3, 4, 176),
    "micro": (128, 4, 4, 344),
    "small": (192, 6, 6, 512),
    "base": (320, 8, 10, 864),
    "small-verse": (192, 6, 6, 512),  # `small`, but one window in twenty is verse
}
VERSE_EVERY = 20
STEPS, TOKENS_A_STEP, SIMPLE_SHARE = 4000, 2048, 0.25
SIMPLE = {"stories_pratham_en", "stories_asp_en", "stories_tinystories_samples"}
# Spectral step of Muon and step of AdamW for the rest; the factor a size is chosen by --tune.
MUON_LR, ADAM_LR, FACTOR = 0.02, 4e-3, dict.fromkeys(SIZES, 1.0)


def write_aside(path, write):
    """Call write(temporary path), then rename: a reader never sees half a file."""
    aside = path.with_name(path.name + ".tmp")
    write(aside)
    os.replace(aside, path)


# --- tokens ---------------------------------------------------------------------------------


def read_documents(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def train_tokenizer(texts):
    """Byte-level BPE of 4,096 entries: any text can be written, none is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def token_stream(tokenizer, documents):
    """<bos> text <eos> of every document, end to end (N,) uint16."""
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(EOS)
    pieces = []
    for start in range(0, len(documents), 1000):
        texts = [d["text"] for d in documents[start : start + 1000]]
        for encoded in tokenizer.encode_batch(texts):
            pieces.append(np.array([bos, *encoded.ids, eos], dtype=np.uint16))
    return np.concatenate(pieces)


def windows(stream, length, bos):
    """The stream cut into rows (R, length) that all begin with <bos>.

    A document that goes on in the next row gets a <bos> of its own there, so position 0 is
    always <bos>, in training as in use.
    """
    rows, at = [], 0
    while at < len(stream):
        if stream[at] == bos:
            row, at = stream[at : at + length], at + length
        else:
            row, at = np.concatenate([[bos], stream[at : at + length - 1]]), at + length - 1
        if len(row) == length:
            rows.append(row)
    return np.stack(rows).astype(np.uint16)


def prepare(corpus, out):
    out.mkdir(parents=True, exist_ok=True)
    train = read_documents(corpus / "train.jsonl")
    held_out = read_documents(corpus / "heldout.jsonl")
    tokenizer = train_tokenizer(d["text"] for d in train)
    write_aside(out / "tokenizer.json", lambda p: tokenizer.save(str(p)))
    parts = {
        "books": [d for d in train if d["source"] not in SIMPLE],
        "simple": [d for d in train if d["source"] in SIMPLE],
        "heldout": held_out,
    }
    counts = {}
    for name, documents in parts.items():
        stream = token_stream(tokenizer, documents)
        np.save(out / f"{name}.npy", stream)
        text = "\n".join(d["text"] for d in documents)
        counts[name] = dict(
            documents=len(documents), tokens=len(stream), bytes=len(text.encode()) + 1
        )
        (out / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        print(name, counts[name], f"{counts[name]['bytes'] / len(stream):.2f} bytes a token")
    (out / "counts.json").write_text(json.dumps(counts, indent=1))


def prepare_verse(file, out):
    """Tokens of the verse that tools/verse_books.py wrote, by the tokenizer of the stories."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    stream = token_stream(tokenizer, read_documents(file))
    np.save(out / "verse.npy", stream)
    print("verse", len(stream), "tokens")


class Plan:
    """Which windows a step sees: the same for every size, a function of the step alone.

    Three steps in four have 8 x 256 tokens, the fourth 4 x 512, so that all positions of the
    context are trained. A quarter of the windows comes from the modern simple stories. With
    `verse`, every twentieth window is replaced by one of verse; the others stay what they are.
    """

    def __init__(self, out, seed=0, verse=False):
        bos = 1  # PAD, BOS, EOS are the tokenizer's entries 0, 1, 2
        names = ("books", "simple", "verse") if verse else ("books", "simple")
        streams = {name: np.load(out / f"{name}.npy") for name in names}
        self.pools, self.seed, self.verse = {}, seed, verse
        for length in (256, 512):
            for name, stream in streams.items():
                self.pools[length, name] = windows(stream, length, bos)
        self.order = {}

    def _row(self, length, name, i):
        pool = self.pools[length, name]
        epoch, place = divmod(i, len(pool))
        if (length, name, epoch) not in self.order:
            rng = np.random.default_rng([self.seed, length, len(name), epoch])
            self.order[length, name, epoch] = rng.permutation(len(pool))
        return pool[self.order[length, name, epoch][place]]

    def batch(self, step):
        """Token ids (rows, length) of a step, counted from 0."""
        length = 512 if step % 4 == 3 else 256
        rows = TOKENS_A_STEP // length
        simple = int(rows * SIMPLE_SHARE)
        turn = step // 4 if length == 512 else step - step // 4  # steps of this length so far
        picked = [self._row(length, "simple", turn * simple + i) for i in range(simple)]
        books = rows - simple
        picked += [self._row(length, "books", turn * books + i) for i in range(books)]
        for i in range(rows if self.verse else 0):
            number = turn * rows + i  # of all windows of this length
            if number % VERSE_EVERY == VERSE_EVERY - 1:
                picked[i] = self._row(length, "verse", number // VERSE_EVERY)
        return torch.from_numpy(np.stack(picked).astype(np.int64))


# --- the model ------------------------------------------------------------------------------


def new_model(size, seed=0):
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, heads, feed_forward = SIZES[size]
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            intermediate_size=feed_forward,
            max_position_embeddings=CONTEXT,
            attention_bias=True,  # so that BitFit has biases to train
            mlp_bias=True,
            tie_word_embeddings=True,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def optimisers(model, factor):
    """Muon on the hidden matrices, AdamW on embeddings, norms and biases."""
    hidden, rest = [], []
    for name, p in model.named_parameters():
        (hidden if p.ndim == 2 and "embed" not in name else rest).append(p)
    return (
        Muon(hidden, lr=MUON_LR * factor),
        torch.optim.AdamW(rest, lr=ADAM_LR * factor, betas=(0.9, 0.95), weight_decay=0.0),
    )


def schedule(step, steps, warmup=100):
    """Share of the peak learning rate: up in a straight line, then down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / (steps - warmup)


def checkpoint(path, model, opts, step, log):
    tensors = {f"model.{n}": p.detach().contiguous() for n, p in model.named_parameters()}
    for which, opt in enumerate(opts):
        for i, state in opt.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"opt.{which}.{i}.{key}"] = value.contiguous()
    meta = {"step": str(step), "log": json.dumps(log)}
    write_aside(path, lambda p: save_file(tensors, p, metadata=meta))


def resume(path, model, opts):
    """Put a checkpoint back; returns the next step and the log."""
    with safe_open(path, "pt") as file:
        own = dict(model.named_parameters())
        states = [{}, {}]
        for name in file.keys():
            kind, rest = name.split(".", 1)
            if kind == "model":
                own[rest].data.copy_(file.get_tensor(name))
            else:
                which, i, key = rest.split(".")
                states[int(which)].setdefault(int(i), {})[key] = file.get_tensor(name)
        for opt, state in zip(opts, states, strict=True):
            opt.load_state_dict({"state": state, "param_groups": opt.state_dict()["param_groups"]})
        meta = file.metadata()
    return int(meta["step"]), json.loads(meta["log"])


def train(size, out, steps=STEPS, factor=None, keep=True, device="cpu", stop_after=None):
    """Train one size to the end (or to `stop_after` steps); returns the model and its log."""
    factor = FACTOR[size] if factor is None else factor
    plan, model = Plan(out, verse=size.endswith("-verse")), new_model(size).to(device)
    opts = optimisers(model, factor)
    peaks = [[g["lr"] for g in opt.param_groups] for opt in opts]
    path = out / f"{size}.checkpoint.safetensors"
    step, log = 0, []
    if keep and path.exists():
        step, log = resume(path, model, opts)
        print(f"{size}: going on at step {step}", flush=True)

    def loss_of(ids):
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits  # (B, T, V)
        targets = ids[:, 1:].flatten()
        return F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), targets)

    compiled = torch.compile(loss_of)
    seconds = log[-1]["seconds"] if log else 0.0
    began, running = time.perf_counter() - seconds, []
    while step < (stop_after or steps):
        for opt, lrs in zip(opts, peaks, strict=True):
            for group, lr in zip(opt.param_groups, lrs, strict=True):
                group["lr"] = lr * schedule(step, steps, warmup=min(100, steps // 5))
        loss = compiled(plan.batch(step).to(device))
        loss.backward()
        for opt in opts:
            opt.step()
            opt.zero_grad()
        running.append(loss.item())
        step += 1
        if step % 100 == 0 or step == steps:
            log.append(
                dict(
                    step=step, loss=sum(running) / len(running), seconds=time.perf_counter() - began
                )
            )
            running = []
            print(f"{size} {step}/{steps} {log[-1]['loss']:.3f} nats a token "
                  f"{log[-1]['seconds']:.0f} s", flush=True)  # fmt: skip
            if keep:
                checkpoint(path, model, opts, step, log)
    return model, log


# --- evaluation and release -----------------------------------------------------------------


@torch.no_grad()
def held_out_nats(model, stream, batch=8):
    """(sum of nats, number of scored tokens): every token of the stream but <bos>, once."""
    total, count = 0.0, 0
    rows = windows(stream, CONTEXT, 1)
    for start in range(0, len(rows), batch):
        ids = torch.from_numpy(rows[start : start + batch].astype(np.int64))
        logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        nats = F.cross_entropy(logits, ids[:, 1:].flatten(), reduction="none")
        scored = ids[:, 1:].flatten() != 1
        total, count = total + nats[scored].sum().item(), count + int(scored.sum())
    return total, count


def xz_bits_per_byte(out):
    """Size of xz(train + held-out) less xz(train), 64 MB dictionary, in bits per held-out byte."""
    train = (out / "books.txt").read_bytes() + (out / "simple.txt").read_bytes()
    held_out = (out / "heldout.txt").read_bytes()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 64 << 20}]
    sizes = [
        len(lzma.compress(text, lzma.FORMAT_XZ, filters=filters))
        for text in (train, train + held_out)
    ]
    return 8 * (sizes[1] - sizes[0]) / len(held_out)


def ngram_nats(out):
    """Nats a token of the interpolated 5-gram on the held-out stream (no <bos> scored)."""
    stream = np.concatenate([np.load(out / "books.npy"), np.load(out / "simple.npy")])
    held_out = np.load(out / "heldout.npy")
    model = NGram(stream, order=5, vocabulary=VOCABULARY)
    scored = held_out[4:] != 1
    return -model.logprob(held_out)[scored].mean()


def release(size, out, folder):
    """Weights as float16 safetensors, tokenizer and configuration, ready for load_base."""
    from transformers import PreTrainedTokenizerFast

    model = new_model(size)
    opts = optimisers(model, 1.0)
    step, log = resume(out / f"{size}.checkpoint.safetensors", model, opts)
    if step != STEPS:
        raise SystemExit(f"{size}: {step} of {STEPS} steps done; finish the training first")
    model.half().save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(out / "tokenizer.json"),
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.save_pretrained(folder)
    weights = folder / "model.safetensors"
    weights.chmod(0o644)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text(f"{digest}  {weights.name}\n")  # `peft-lab doctor` asks
    return model.float().eval(), tokenizer, log


def evaluate(out, models=ROOT / "data" / "models"):
    """Release every finished size and print the held-out table; it is kept as results.json."""
    counts = json.loads((out / "counts.json").read_text())
    held_out = np.load(out / "heldout.npy")
    tokens = int((held_out != 1).sum())
    tokens_a_byte = tokens / counts["heldout"]["bytes"]
    to_bits = tokens_a_byte / np.log(2)
    table_path = models / "results.json"
    table = json.loads(table_path.read_text()) if table_path.exists() else {}
    table["held-out"] = dict(tokens=tokens, bytes=counts["heldout"]["bytes"])
    if "xz" not in table:
        table["xz"] = dict(bits_per_byte=xz_bits_per_byte(out))
    if "5-gram" not in table:
        nats = ngram_nats(out)
        table["5-gram"] = dict(nats_per_token=nats, bits_per_byte=nats * to_bits)
    for size in SIZES:
        if not (out / f"{size}.checkpoint.safetensors").exists():
            continue
        model, _, log = release(size, out, models / f"storyteller-{size}")
        total, count = held_out_nats(model, held_out)
        table[size] = dict(
            parameters=sum(p.numel() for p in model.parameters()),
            nats_per_token=total / count,
            bits_per_byte=total / count * to_bits,
            steps=log[-1]["step"],
            tokens_seen=log[-1]["step"] * TOKENS_A_STEP,
            seconds=round(log[-1]["seconds"]),
            factor=FACTOR[size],
        )
    write_aside(table_path, lambda p: p.write_text(json.dumps(table, indent=1) + "\n"))
    print(f"{'':8}{'parameters':>12}{'nats a token':>14}{'bits a byte':>13}")
    scores = {name: row for name, row in table.items() if "bits_per_byte" in row}
    for name, row in sorted(scores.items(), key=lambda item: -item[1]["bits_per_byte"]):
        print(
            f"{name:8}{row.get('parameters', ''):>12}"
            f"{row.get('nats_per_token', float('nan')):14.3f}{row['bits_per_byte']:13.3f}"
        )


def tune(size, out, factors=(0.5, 1.0, 2.0), share=0.05):
    """Held-out loss after a complete schedule on 5% of the steps, for each factor."""
    sample = np.load(out / "heldout.npy")[: 40 * CONTEXT]
    for factor in factors:
        model, _ = train(size, out, steps=int(STEPS * share), factor=factor, keep=False)
        total, count = held_out_nats(model.eval(), sample)
        print(f"tune {size} factor {factor}: {total / count:.4f} nats a token", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "run")
    parser.add_argument("--prepare", type=Path, metavar="CORPUS")
    parser.add_argument("--verse", type=Path, metavar="FILE")
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--evaluate", action="store_true")
    parser.add_argument("--factor", type=float)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.prepare:
        prepare(args.prepare, args.out)
    if args.verse:
        prepare_verse(args.verse, args.out)
    if args.size and args.tune:
        tune(args.size, args.out)
    elif args.size:
        train(args.size, args.out, factor=args.factor, device=args.device)
    if args.evaluate:
        evaluate(args.out)


if __name__ == "__main__":
    main()
