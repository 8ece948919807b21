"""Events as no sender should send them, made by chance: the same seed, the same events."""

import json
import math
import random

NUMBERS = (
    0,
    -0.0,
    1,
    -1,
    1e-320,
    1e308,
    -1e308,
    2**53,
    2**63,
    -(2**63),
    2**64,
    10**30,
    12.5,
    "12,50",
    "1e5",
    "1e999",
    "٣",
    "0x10",
    "",
    " ",
    "-",
    "NaN",
    "inf",
)
TEXTS = (
    "u1",
    "",
    " ",
    "ü",
    "\x00",
    "a\x00b",
    "\u202e",
    "\ufeff",
    "💥",
    "null",
    "NaN",
    "true",
    "=1+1",
    "'; DROP TABLE events; --",
    "../../etc/passwd",
    "a" * 5000,
)
TIMES = (
    "2026-10-31T09:00:00Z", "2026-10-31 09:00:00", "2026-10-31T09:00:00.123456+14:00", 1_793_437_200, 1_793_437_200_000,
    1_793_437_200_000_000,
    1_793_437_200_000_000_000, 1_793_437_200.5, "1793437200", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "10000-01-01",
    "2026-03-29T02:30:00",
    "2026-10-25T02:30:00", "2026-02-30", "2026-13-01T00:00:00Z", "2026-10-31T24:00:00Z", "2026-10-31T09:00:60Z", -1, 0, 1e300,
    2**70, "", "soon",
    "31/10/2026 09:00", "10/31/2026", "2026-W44-6", "2026-304", None, True, [], {}, "2026-10-31T09:00:00" + "Z" * 50, "-2026-10-31", "NaN",
)  # fmt: skip
KEYS = (
    "price",
    "device",
    "x" * 500,
    "",
    " ",
    "\x00",
    "known_at",
    "orders",
    "__proto__",
    "$ref",
    "time ",
    "ü",
    "user_id\u200b",
    "a.b",
    "a b",
)
WRONG = (None, True, [], {}, [1], {"a": 1}, [[]], "x")
RAW = (
    b"", b"{", b"}", b"nul", b"\xff\xfe", b"\x00", b'{"time": NaN}', b'{"amount": Infinity, "time": "2026-10-31T09:00:00Z"}',
    b'{"a":1,}', b"[" * 2000,
    b'{"a":' * 2000, b'{"user_id": "\\ud800", "time": "2026-10-31T09:00:00Z", "kind": "view"}',
    b'{"user_id": "\xed\xa0\x80"}', b"\xef\xbb\xbf{}",
    b'{"time": "2026-10-31T09:00:00Z", "time": "2026-10-30T09:00:00Z", "kind": "view"}', b'"text"', b"1", b"[]", b"[[]]", b"null",
    b'{"time": 1793437200, "amount": 1' + b"0" * 400 + b"}", b'{"time": 17934372000000000000000000000000}', b"a,b\n1,2", b"<event/>",
)  # fmt: skip
FIELDS = {
    "user_id": TEXTS, "kind": ("view", "purchase", "cart", "refund", *TEXTS[:8]), "amount": NUMBERS, "quantity": NUMBERS,
    "unit_price": NUMBERS,
    "dwell_s": NUMBERS, "rating": NUMBERS, "item_id": TEXTS, "category": TEXTS, "order_id": TEXTS, "session_id": TEXTS,
    "currency": ("EUR", *TEXTS),
    "text": TEXTS, "channel": TEXTS, "offer_id": TEXTS,
}  # fmt: skip


def event(rng: random.Random, number: int) -> dict:
    """A sound event with some of its fields replaced by nonsense: about half of them stay sound."""
    made = {"event_id": f"e{number}", "user_id": f"u{rng.randrange(50)}", "kind": "view", "time": rng.choice(TIMES[:4])}
    for _ in range(rng.choice((0, 0, 1, 1, 2, 4))):
        name = rng.choice(tuple(FIELDS))
        made[name] = rng.choice(FIELDS[name] if rng.random() < 0.85 else WRONG)
    chance = rng.random()
    if chance < 0.15:
        made["time"] = rng.choice(TIMES)
    elif chance < 0.2:
        made[rng.choice(KEYS)] = rng.choice((*TEXTS, *NUMBERS, *WRONG))
    elif chance < 0.22:
        made["event_id"] = rng.choice((*TEXTS, *NUMBERS, *WRONG))
    elif chance < 0.23:
        made[rng.choice(tuple(FIELDS))] = rng.choice((math.nan, math.inf, -math.inf))
    elif chance < 0.2305:
        made["text"] = "x" * 10**6
    return made


def body(rng: random.Random, number: int) -> tuple[bytes, str, int]:
    """The body of one request, its content type, and how many events it holds."""
    chance = rng.random()
    if chance < 0.08:
        return rng.choice(RAW), "application/json", 1
    if chance < 0.12:
        whole = bytearray(json.dumps(event(rng, number)).encode())
        for _ in range(rng.randrange(1, 4)):
            whole[rng.randrange(len(whole))] = rng.randrange(256)
        return bytes(whole), "application/json", 1
    if chance < 0.8:
        return json.dumps(event(rng, number), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass"), "application/json", 1
    many = [event(rng, number + i) for i in range(rng.randrange(2, 20))]
    if chance < 0.9:
        return json.dumps(many).encode(), "application/json", len(many)
    return "\n".join(map(json.dumps, many)).encode(), "application/x-ndjson", len(many)
