"""What the API is asked by its own description it answers by its own description (R2)."""

import pytest

from tests.unit.serve.doubles import Bench, served
from whenbuy.serve.limits import Limits


def findings(folder, examples, bench=None):
    """Send what the description allows, and what it does not; return how many requests were sent and what was wrong."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    bench = bench or Bench(folder, limits=Limits(per_second=1e9, burst=1e9, most_lag_s=60))
    chosen = [
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance,
        checks.response_headers_conformance,
    ]  # fmt: skip
    sent, wrong = 0, []
    with served(bench) as url:
        schema = schemathesis.openapi.from_url(f"{url}/v1/openapi.json")
        operations = [found.ok() for found in schema.get_all_operations()]
        for operation in operations:
            each = max(1, examples // len(operations)) if operation.body or operation.path_parameters or operation.query else 3

            @seed(1)
            @settings(max_examples=each, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
            @given(case=operation.as_strategy())
            def ask(case):
                nonlocal sent
                sent += 1
                try:
                    case.call_and_validate(base_url=url, checks=chosen, headers={"Host": "127.0.0.1"})
                except BaseExceptionGroup as error:
                    wrong.append(str(error))

            ask()
    bench.journal.close()
    return sent, wrong


@pytest.mark.filterwarnings("default")
def test_answers_are_as_described(tmp_path):
    sent, wrong = findings(tmp_path, 150)
    assert wrong == []
    assert sent >= 60


@pytest.mark.nightly
@pytest.mark.filterwarnings("default")
def test_many_answers_are_as_described(tmp_path):
    sent, wrong = findings(tmp_path, 13_000)
    assert wrong == []
    assert sent >= 5_000


@pytest.mark.filterwarnings("default")
def test_the_harness_finds_an_answer_that_is_not_described(tmp_path, monkeypatch):  # a planted bug
    from whenbuy.serve import hot
    from whenbuy.serve.wire import Forecasts

    def other(model, age, degraded, found):
        return Forecasts(model, str(age), degraded, found)

    monkeypatch.setattr(hot, "Forecasts", other)
    _, wrong = findings(tmp_path, 60)
    assert wrong
