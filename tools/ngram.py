"""An interpolated 5-gram model (Kneser-Ney), the honest rival of a small language model.

Source: Chen and Goodman 1999, "An empirical study of smoothing techniques for language modeling",
section 3: interpolated Kneser-Ney with one absolute discount an order, D = n1 / (n1 + 2 n2).

An n-gram of 12-bit tokens fits into one 64-bit integer (5 x 12 = 60 bits), so counts are sorted
integer arrays and every look-up is a binary search: no dictionary, 100 bytes a training token.
"""

import numpy as np

BITS = 12


def pack(tokens, n):
    """Every n-gram of `tokens` (T,) as one integer, oldest token in the highest bits (T-n+1,)."""
    if n * BITS > 63:
        raise ValueError(f"n={n}: {n} x {BITS} bits do not fit into 64; use n <= {63 // BITS}")
    length = max(len(tokens) - n + 1, 0)
    codes = np.zeros(length, dtype=np.int64)
    for i in range(n):
        codes = (codes << BITS) | tokens[i : i + length].astype(np.int64)
    return codes


class NGram:
    """Trained on one token stream; `logprob` gives nats for each token of another stream."""

    def __init__(self, tokens, order=5, vocabulary=4096):
        if vocabulary > 1 << BITS:
            raise ValueError(
                f"vocabulary={vocabulary}: at most {1 << BITS} entries fit {BITS} bits"
            )
        self.order, self.vocabulary = order, vocabulary
        self.levels = []
        kinds, counts = np.unique(pack(tokens, order), return_counts=True)
        for n in range(order, 0, -1):
            ones, twos = (counts == 1).sum(), (counts == 2).sum()
            # A toy text may have no n-gram that occurs once: half a count, never nothing.
            discount = ones / (ones + 2 * twos) if ones else 0.5
            contexts, first, followers = np.unique(
                kinds >> BITS, return_index=True, return_counts=True
            )
            totals = np.add.reduceat(counts, first)
            self.levels.append((kinds, counts, contexts, followers, totals, discount))
            # Kneser-Ney: the shorter n-gram counts in how many different places it continues.
            kinds, counts = np.unique(kinds & ((1 << BITS * (n - 1)) - 1), return_counts=True)
        self.levels.reverse()  # unigrams first

    @staticmethod
    def _find(table, keys):
        place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        return place, table[place] == keys

    def logprob(self, tokens):
        """log p(token | the order-1 tokens before it) for tokens[order-1:], in nats."""
        width = len(tokens) - self.order + 1
        probability = np.full(width, 1 / self.vocabulary)
        for n, (kinds, counts, contexts, followers, totals, discount) in enumerate(self.levels, 1):
            keys = pack(tokens, n)[-width:]
            place, seen = self._find(kinds, keys)
            count = np.where(seen, counts[place], 0)
            place, known = self._find(contexts, keys >> BITS)
            total = np.where(known, totals[place], 1)
            kept = np.maximum(count - discount, 0) / total
            mass = np.where(known, discount * followers[place] / total, 1)
            probability = kept + mass * probability
        return np.log(probability)
