"""Weighted terms and topics beside those of scikit-learn."""

import numpy as np
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from tests.unit.models.text.examples import asked, drawn
from whenbuy.core.texts import Texts
from whenbuy.models.text.reading import TextRating
from whenbuy.models.text.tfidf import Tfidf
from whenbuy.models.text.topics import Topics
from whenbuy.models.text.words import parts

BODY = drawn(300)[1]
LATER = [*drawn(50, 1)[1], "", "unheard"]


def vectorizer():
    return TfidfVectorizer(analyzer=parts, sublinear_tf=True, min_df=2)


def test_terms_weigh_the_same():
    theirs = vectorizer().fit(BODY)
    ours = Tfidf().fit(BODY)
    assert list(ours.names) == sorted(theirs.vocabulary_)
    assert np.allclose(ours.matrix(LATER).toarray(), theirs.transform(LATER).toarray(), rtol=0, atol=1e-12)


def test_a_cut_of_the_commonest_terms_is_the_same():
    theirs = TfidfVectorizer(analyzer=parts, sublinear_tf=True, min_df=5, max_df=0.2).fit(BODY)
    assert list(Tfidf(least=5, most_share=0.2).fit(BODY).names) == sorted(theirs.vocabulary_)


def test_ratings_are_those_of_logistic_regressions():
    rating, body, _ = drawn(300)
    model = TextRating().fit(asked(Texts.of(text=body), rating))
    theirs = vectorizer().fit(body)
    chances = [
        LogisticRegression(C=4.0, max_iter=300).fit(theirs.transform(body), rating > cut).predict_proba(theirs.transform(LATER[:50]))[:, 1]
        for cut in (1, 3)
    ]
    found = model.predict(asked(Texts.of(text=LATER[:50]), day=400.0))
    assert np.allclose(found.mean, 1 + 2 * np.sort(np.stack(chances), axis=0).sum(axis=0), atol=1e-4)


def test_shares_of_topics_are_the_least_squares_ones():
    model = Topics(3).fit(BODY)
    theirs = NMF(3, max_iter=2000, tol=1e-10)
    theirs.n_components_, theirs.components_, theirs._n_components = 3, model.weight, 3
    found = theirs.transform(model.terms.matrix(LATER)) * model.weight.sum(axis=1)
    total = found.sum(axis=1, keepdims=True)
    assert np.allclose(model.shares(LATER), np.divide(found, total, out=np.zeros_like(found), where=total > 0), atol=1e-4)
