import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.trees.planted import forest, rows, slow_shapley
from whenbuy.models.trees import Trees


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 3), st.integers(1, 14), st.integers(1, 3))
def test_contributions_are_shapley_values(seed, columns, trees, leaves, count):
    made = forest(seed, columns, trees, leaves, base=0.5, divisor=2.0)
    values = rows(seed, count, columns)
    np.testing.assert_allclose(made.contributions(values), slow_shapley(made, values), rtol=0, atol=1e-12)


@given(st.integers(0, 10_000), st.integers(0, 70))
def test_contributions_add_up_to_the_score(seed, count):
    made = forest(seed, 6, 4, 60)
    values = rows(seed, count, 6)
    np.testing.assert_allclose(made.contributions(values).sum(axis=1), made.raw(values), rtol=0, atol=1e-11)


def test_a_column_that_no_tree_asks_about_adds_nothing():
    made = forest(2, 3, 6)
    wide = Trees(
        *(
            getattr(made, name)
            for name in vars(made)
            if name in made.__dataclass_fields__ and name not in ("features", "link", "base", "divisor")
        ),
        5,
    )
    added = wide.contributions(rows(2, 10, 5))
    assert not added[:, 3:5].any()


def test_a_long_path_keeps_its_sum():
    made = forest(8, 40, 2, 300)
    values = rows(8, 30, 40)
    np.testing.assert_allclose(made.contributions(values).sum(axis=1), made.raw(values), rtol=0, atol=1e-10)
