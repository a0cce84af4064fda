"""T5 1.1 by its configuration: what the papers on prompt tuning and IA3 counted on.

T5 has an encoder and a decoder, so `anatomy` does not know it and no method attaches to it. Here is
only what is needed to recompute what those papers printed: numbers of parameters, in closed form.
"""


def parameters(config) -> int:
    """All parameters of a T5 1.1 model, as in Lester et al. 2021, table 4 (without a prompt).

    Embedding and head are two matrices in T5 1.1, whatever a config says of tying: transformers 5
    builds them as one, which is vocab_size x d_model fewer.
    """
    d, inner, ff = config.d_model, config.num_heads * config.d_kv, config.d_ff
    attention, feed_forward = 4 * d * inner, 3 * d * ff  # gated: two matrices in, one out
    encoder = config.num_layers * (attention + feed_forward + 2 * d)  # and a norm each
    decoder = config.num_decoder_layers * (2 * attention + feed_forward + 3 * d)
    # one table of 32 distances for each head of a stack, and its last norm
    ends = 2 * (config.relative_attention_num_buckets * config.num_heads + d)
    return 2 * config.vocab_size * d + encoder + decoder + ends


def prompt_parameters(config, length: int) -> int:
    """A soft prompt before the encoder's input: n x d (Lester et al. 2021, section 2)."""
    return length * config.d_model


def ia3_parameters(config) -> int:
    """Keys, values and feed-forward of each block; the decoder attends twice (Liu et al. 2022,
    section 3.3)."""
    inner = config.num_heads * config.d_kv
    encoder = config.num_layers * (2 * inner + config.d_ff)
    return encoder + config.num_decoder_layers * (4 * inner + config.d_ff)
