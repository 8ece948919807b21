"""The kernels of the recurrent encoders beside torch's own modules, and the losses of the heads beside torch's."""

import numpy as np
import pytest

from whenbuy.models.neural.engine import torch
from whenbuy.models.neural.gated import PARTS
from whenbuy.models.neural.gru import Gru
from whenbuy.models.neural.heads import AmountHead, CountHead, HazardHead
from whenbuy.models.neural.kernels import steps
from whenbuy.models.neural.lstm import Lstm
from whenbuy.models.neural.next_event import NextHead
from whenbuy.models.neural.simple_rnn import SimpleRnn
from whenbuy.models.neural.tokens import Reader
from whenbuy.models.neural.transformer import Transformer

MODULES = {Gru(12, 2): "GRU", Lstm(12, 3): "LSTM", SimpleRnn(12, 2): "RNN", SimpleRnn(12, 1, "relu"): "RNN"}


@pytest.mark.parametrize("encoder", list(MODULES), ids=lambda encoder: f"{encoder.name}-{encoder.cell}")
def test_steps_equal_torchs_modules(encoder):
    library, rng = torch(), np.random.default_rng(0)
    options = {"nonlinearity": encoder.activation} if isinstance(encoder, SimpleRnn) else {}
    module = getattr(library.nn, MODULES[encoder])(encoder.width, encoder.width, encoder.depth, **options)
    weights = {f"{layer}/{part}": getattr(module, f"{part}_l{layer}").detach().numpy() for layer in range(encoder.depth) for part in PARTS}
    x = rng.normal(size=(50, encoder.width)).astype(np.float32)
    wanted = module(library.from_numpy(x))[0].detach().numpy()
    state, work = np.zeros(encoder.state_size, np.float32), np.zeros(steps.WORK * encoder.width, np.float32)
    flat = encoder.packed(weights)["flat"]
    for t in range(len(x)):
        steps.advance(encoder.cell, encoder.depth, flat, 0.0, x[t].copy(), state, work)
        np.testing.assert_allclose(state[-encoder.width :], wanted[t], atol=1e-5)


def test_attention_in_blocks_equals_attention_under_one_mask():
    library, rng = torch(), np.random.default_rng(1)
    encoder = Transformer(16, 1, 2, span=7)
    query, key, value = (library.from_numpy(rng.normal(size=(3, 2, 40, 8)).astype(np.float32)) for _ in range(3))
    back = np.arange(40)[:, None] - np.arange(40)
    mask = library.from_numpy((back >= 0) & (back < 7))
    wanted = library.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    np.testing.assert_allclose(encoder._attended(query, key, value).numpy(), wanted.numpy(), atol=1e-6)


def test_losses_equal_torchs():
    library, rng = torch(), np.random.default_rng(2)
    out = library.from_numpy(rng.normal(size=(30, 5)).astype(np.float32))
    at = library.from_numpy(rng.uniform(0, 2, 30).astype(np.float32))
    waits = library.from_numpy((rng.random((30, 5)) < 0.7).astype(np.float32))
    came = waits * library.from_numpy((rng.random((30, 5)) < 0.3).astype(np.float32))
    functional = library.nn.functional
    loss, weight = HazardHead((1.0, 2.0, 3.0, 4.0, 5.0)).loss(out, {"waits": waits, "came": came, "at": at})
    plain = functional.binary_cross_entropy_with_logits(out, came, reduction="none")
    assert float(loss) == pytest.approx(float((plain * waits * at[:, None]).sum()), rel=1e-5)
    assert float(weight) == pytest.approx(float(at.sum()))
    value = library.from_numpy(rng.poisson(2.0, 30).astype(np.float32))
    loss, _ = CountHead().loss(out[:, :1], {"value": value, "at": at})
    plain = functional.poisson_nll_loss(out[:, 0], value, reduction="none")
    assert float(loss) == pytest.approx(float((plain * at).sum()), rel=1e-5)
    amount = value + 1
    loss, _ = AmountHead().loss(out[:, :2], {"value": amount, "at": at})
    ratio = amount / out[:, 0].exp()
    plain = ratio - ratio.log() - 1 + functional.l1_loss(out[:, 1], amount.log(), reduction="none")
    assert float(loss) == pytest.approx(float((plain * at).sum()), rel=1e-4)


def test_the_likelihood_of_a_gap_is_torchs_mixture():
    library, rng = torch(), np.random.default_rng(3)
    head, reader = NextHead((), parts=4, squared=0.0), Reader((), {"log_gap_days": (5.0, 2.0)}, 3.0)
    weights = {name: library.from_numpy(part) for name, part in head.weights(reader, 6, rng).items()}
    states = library.from_numpy(rng.normal(size=(20, 6)).astype(np.float32))
    gap = library.from_numpy(rng.exponential(3.0, 20).astype(np.float32))
    loss, count = head.losses(weights, {}, reader, states, library.zeros(20, 0), gap, None)["time"]
    out = states @ weights["time"] + weights["time_bias"]
    mixture = library.distributions.MixtureSameFamily(
        library.distributions.Categorical(logits=out[:, :4]), library.distributions.Normal(out[:, 4:8], out[:, 8:12].clamp(-3, 3).exp())
    )
    assert float(loss) == pytest.approx(float(-mixture.log_prob(((gap * 1440).log1p() - 5) / 2).sum()), rel=1e-4)
    assert float(count) == 20
