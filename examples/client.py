"""A shop's side of `whenbuy serve`: send events, ask for forecasts. Only the standard library is needed.

    python examples/client.py [http://127.0.0.1:8750] [KEY]

Without an address it makes a small simulated shop, serves it for a moment, and talks to that.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from urllib.parse import quote


class Client:
    """Talks to one server. Events that were not acknowledged are sent again: each has an id, so none is counted twice."""

    def __init__(self, url: str, key: str = "", tries: int = 8) -> None:
        self.url, self.key, self.tries = url.rstrip("/"), key, tries

    def send(self, events: list[dict]) -> dict:
        """Send up to 1,000 events; return what became of them once they are durable."""
        return self._ask("POST", "/v1/events", events)

    def forecast(self, user: str) -> dict:
        """Return the forecast of one customer, as of now."""
        return self._ask("GET", f"/v1/forecasts/{quote(user, safe='')}")["forecast"]

    def forecasts(self, users: list[str]) -> list[dict]:
        """Return the forecasts of up to 1,000 customers."""
        return self._ask("POST", "/v1/forecasts", {"users": users})["forecasts"]

    def _ask(self, method: str, path: str, body: object = None) -> dict:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        for attempt in range(self.tries):
            try:
                with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method), timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code not in (429, 503) or attempt == self.tries - 1:
                    raise SystemExit(f"{error.code}: {error.read().decode()}") from None
                wait = float(error.headers.get("Retry-After", 1))
            except OSError:  # the server is not there: it may be starting again
                if attempt == self.tries - 1:
                    raise
                wait = 2.0**attempt / 10
            time.sleep(wait)
        raise AssertionError


def talk(client: Client) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    events = [
        {"event_id": "till-1", "user_id": "u1", "kind": "view", "time": now, "item_id": "i7"},
        {"event_id": "till-2", "user_id": "u1", "kind": "purchase", "time": now, "item_id": "i7", "unit_price": 12.5, "quantity": 2},
    ]
    print({status: count for status, count in client.send(events).items() if status in ("accepted", "duplicate", "dead", "late")})
    print({status: count for status, count in client.send(events).items() if status in ("accepted", "duplicate")}, "- sent again")
    answer = client.forecast("u1")
    print({name: answer[name] for name in answer if name.startswith("p_purchase")}, "next purchase:", answer["next_purchase_p50"])


def served() -> None:
    """Serve a small simulated shop in a thread, for as long as the talk takes."""
    import io
    import tempfile
    import threading
    from pathlib import Path

    import whenbuy as wb
    from whenbuy.config import Settings
    from whenbuy.ingest.store import write_log
    from whenbuy.pipeline.keeping.registry import Registry
    from whenbuy.pipeline.keeping.shop import Shop
    from whenbuy.serve.server import Address
    from whenbuy.serve.verbs_serve import serve

    with tempfile.TemporaryDirectory() as folder:
        history = wb.simulate(users=40, days=90, seed=1).history
        shop, moment = Shop.create(Path(folder, "shop"), Settings()), time.time_ns() // 1000
        write_log(history, shop.log)
        registry = Registry(shop.models)
        registry.promote(registry.keep(wb.fit(history), {}, moment), "force", moment)
        address: list[str] = []
        stop: list = []

        def say(text: str) -> None:
            if " answers at " in text:
                address.append(text.partition(" answers at ")[2].partition(";")[0])

        options = {"say": say, "log": io.StringIO(), "stops": stop.append}
        thread = threading.Thread(target=serve, args=(shop.folder, Address(port=0)), kwargs=options)
        thread.start()
        while not address and thread.is_alive():
            time.sleep(0.05)
        talk(Client(address[0]))
        stop[0]()
        thread.join()


if __name__ == "__main__":
    talk(Client(*sys.argv[1:])) if len(sys.argv) > 1 and sys.argv[1].startswith("http") else served()
