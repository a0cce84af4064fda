"""A toy base as `load_base` finds one, and toy tasks: what several tests share."""

import functools

import torch

from peft_lab.tasks import IGNORE, Example, Task

PAD, BOS, EOS = 0, 1, 2
TEXT = "the fox and the hen sat on a mat by the mill . once upon a time there was a cow"


@functools.cache
def toy_bpe() -> str:
    """A byte-level BPE of 300 entries, built as the storytellers' is, as JSON."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "<bos>", "<eos>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([TEXT] * 5, trainer)
    return bpe.to_str()


def toy_tokenizer():
    """A new one each time: one that has padded a batch remembers how, and saves it."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(toy_bpe()), bos_token="<bos>", eos_token="<eos>",
        pad_token="<pad>",
    )  # fmt: skip


def toy_model(seed: int = 0, dtype: torch.dtype = torch.float32, **changes):
    """A random model with the storytellers' architecture: width 32, 3 layers, context 128."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {
        "vocab_size": len(toy_tokenizer()), "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 3, "num_attention_heads": 4, "max_position_embeddings": 128,
        "tie_word_embeddings": True, "attention_bias": True, "mlp_bias": True,
        "pad_token_id": PAD, "bos_token_id": BOS, "eos_token_id": EOS,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**{**shape, **changes}))
        for parameter in model.parameters():  # biases are made as 0, behind which much can hide
            parameter.data += 0.1 * torch.randn(parameter.shape)
    return model.to(dtype).eval()


def save_toy_base(data, name: str = "storyteller-micro", seed: int = 0):
    """Put a toy base where `load_base(name)` looks when PEFT_LAB_DATA is `data`."""
    folder = data / "models" / name
    toy_model(seed).half().save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def toy_examples(count: int, seed: int = 0, vocabulary: int = 97) -> list[Example]:
    """Random tokens of different lengths; the first third of each is not scored."""
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for _ in range(count):
        length = int(torch.randint(5, 14, (), generator=generator))
        ids = torch.randint(3, vocabulary, (length,), generator=generator)  # (T,)
        labels = ids.clone()
        labels[: length // 3 + 1] = IGNORE
        examples.append(Example(ids, labels, "", "x" * length))
    return examples


def toy_task(train: int = 20, validation: int = 6) -> Task:
    return Task("toy", toy_examples(train), toy_examples(validation, seed=1), [])
