"""Sentence vectors: what a text means, by what its words mean elsewhere (extra ``text``): a word that was never seen still says something.

A text is the mean of the vectors of its word pieces, which the package WordLlama ships (256 numbers each, learned from large language
models; https://github.com/dleemiller/WordLlama). Nothing is fetched, and none of its code runs: its two data files are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from whenbuy.core.arrays import Singles
from whenbuy.core.errors import DependencyError
from whenbuy.models.text.words import plain

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LENGTH: Final = 256
"""The numbers of a vector."""
_PACKAGE: Final = "wordllama"
_WEIGHTS: Final = ("weights", "l2_supercat_256.safetensors")
_PIECES: Final = ("tokenizers", "l2_supercat_tokenizer_config.json")


def at_hand() -> bool:
    """Return whether the extra ``text`` is installed."""
    return find_spec("tokenizers") is not None and all(path.is_file() for path in _files())


def vectors(texts: Sequence[str]) -> Singles:
    """Return the vector of each text (n x 256), of length 1; 0 where nothing is written. A row depends on no other.

    Raises
    ------
    DependencyError
        When the extra ``text`` is not installed.
    """
    from scipy.sparse import csr_array

    pieces, table = _learned()
    clean = [" ".join(plain(text).split()) for text in texts]
    codes = [np.asarray(found.ids, np.int64) for found in pieces.encode_batch(clean, add_special_tokens=False)]
    length = np.array([len(code) for code in codes], np.int64)
    offsets = np.concatenate([[0], np.cumsum(length)])
    places = np.concatenate([*codes, np.empty(0, np.int64)])
    sums = csr_array((np.ones(len(places), np.float32), places, offsets), shape=(len(texts), len(table))) @ table
    return unit(sums)


def unit(rows: Singles) -> Singles:
    """Return rows (n x f) brought to length 1; rows of 0 stay."""
    return np.asarray(rows / np.maximum(np.sqrt((rows**2).sum(axis=1, keepdims=True)), np.float32(1e-9)), np.float32)


@lru_cache(maxsize=1)
def _learned() -> tuple[Tokenizer, Singles]:
    """Return what cuts texts into word pieces, and the vector of each piece (t x 256)."""
    if not at_hand():
        raise DependencyError(
            "Sentence vectors are not installed.", "They come with the package wordllama.", "Run `pip install 'whenbuy[text]'`."
        )
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    weights, pieces = _files()
    cut = Tokenizer.from_file(str(pieces))
    cut.no_padding()
    cut.no_truncation()
    return cut, np.asarray(next(iter(load_file(weights).values())), np.float32)


def _files() -> tuple[Path, Path]:
    """Return where the vectors and the word pieces would lie; the package itself is not imported."""
    found = find_spec(_PACKAGE)
    home = Path(next(iter(found.submodule_search_locations or ["."]))) if found is not None else Path(_PACKAGE)
    return home.joinpath(*_WEIGHTS), home.joinpath(*_PIECES)
