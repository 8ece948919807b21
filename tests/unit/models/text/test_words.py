"""What becomes of texts: any language, emoji, HTML, any length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whenbuy.models.text.words import LONGEST, READ, _any, _simple, parts, plain


def test_words_and_pairs():
    assert parts("Too small, it's TOO small!") == ["too", "small", "it", "too", "small", "too small", "small it", "it too", "too small"]
    assert parts("Too small", pairs=False) == ["too", "small"]
    assert parts("") == parts(" \n…") == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<p>Very <b>soft</b></p><script>alert('x')</script>&amp; warm<br/>", ["very", "soft", "warm"]),
        ("<!-- hidden --> 3 < 5 and 7 > 5", ["and"]),
        ("\uff33\uff2f\uff26\uff34 \ufb01ne", ["soft", "fine"]),  # NFKC
        ("Größe paßt, très doux, очень мягкий", ["größe", "paßt", "très", "doux", "очень", "мягкий"]),
        ("很好看", ["很好", "好看"]),
        ("好", ["好"]),
        ("Soft柔らかい", ["soft", "柔ら", "らか", "かい"]),
        ("बहुत अच्छा", ["बहुत", "अच्छा"]),
        ("ดี", ["ดี"]),
        ("love 😍😍 it 👎🏽", ["love", "it", "😍", "😍", "👎"]),
        ("bon 🇫🇷", ["bon", "🇫🇷"]),
        ("meh :( ok ;-)", ["meh", "ok", ":(", ";-)"]),
    ],
)
def test_any_language(text, found):
    assert parts(text, pairs=False) == found


def test_long_texts_are_bounded():
    assert len(plain("soft " * 200_000)) <= READ
    assert parts("x" * 1_000_000, pairs=False) == ["x" * LONGEST]
    for nasty in ("<" * 1_000_000, "<script>" * 125_000, "<a " * 333_334, "&amp" * 250_000, "ﷺ" * 1_000_000, "<!--" * 250_000):
        assert len(parts(nasty)) <= 2 * READ


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_the_fast_way_equals_the_slow_one(text):
    clean = plain(text)
    if clean.isascii():
        assert _simple(clean) == _any(clean)


@given(st.text(max_size=80))
def test_any_text_has_parts(text):
    assert all(0 < len(part) <= 2 * LONGEST + 1 for part in parts(text))
