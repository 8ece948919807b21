"""The report's section about demand."""

import jinja2

from tests.unit.pipeline.demand.logs import log, steady
from whenbuy.pipeline.demand.series import forecast_series
from whenbuy.pipeline.telling.demand import section
from whenbuy.pipeline.telling.report import _source
from whenbuy.pipeline.telling.words import count, days, percent


def test_the_section_says_what_is_expected_and_how_the_models_did():
    sales = steady(0, 100, 6) | {"<b>x</b>7": [9, 8, 30, 9, 9, 8, 9] * 15}
    told = section(forecast_series(log(sales), "item", 14))
    world = jinja2.Environment(loader=jinja2.FunctionLoader(_source), autoescape=True, undefined=jinja2.StrictUndefined)
    world.filters |= {"percent": percent, "count": count, "days": days}
    page = world.from_string('{% from "report_demand.html.jinja" import demand_section %}{{ demand_section(demand) }}').render(demand=told)
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page
    assert page.count("<svg") == 6
    assert "seasonal naive" in page
    assert told["series"] == 7
    assert told["peaks"]
    assert len(told["rows"]) == 7
