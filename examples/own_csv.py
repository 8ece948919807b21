"""A file of your own: read it, see what it was taken for, check it, clean it, look at features.

    python examples/own_csv.py

The file is made here, with the faults that exports have: semicolons, decimal commas, day before month, doubled lines, a cancelled order.
"""

import tempfile
from pathlib import Path

import polars as pl

import whenbuy as wb
from whenbuy import features as f
from whenbuy.clean import clean
from whenbuy.config import Settings
from whenbuy.ingest.read import read
from whenbuy.pipeline.checking.examine import examine


def export(path: Path) -> None:
    """Write a shop's orders as a retail system would."""
    orders = wb.simulate(users=80, days=140, seed=2).history.log.frame().filter(pl.col("kind") == "purchase")
    lines = orders.select(
        Rechnung=pl.col("order_id"),
        Kunde=pl.col("user_id"),
        Datum=pl.col("time").dt.strftime("%d.%m.%Y %H:%M"),
        Artikel=pl.col("item_id"),
        Warengruppe=pl.col("category"),
        Menge=pl.col("quantity").cast(pl.Int64),
        Betrag=pl.col("amount").round(2).cast(pl.String).str.replace(".", ",", literal=True),
    )
    cancelled = lines.tail(1).with_columns(Menge=-pl.col("Menge"), Betrag="-" + pl.col("Betrag"))
    pl.concat([lines, lines.head(25), cancelled]).write_csv(path, separator=";")


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "auftraege.csv"
    export(file)

    # Read it. Columns are guessed by name and content; what must not be guessed is said.
    reading = read(file, columns={"user_id": "Kunde", "time": "Datum", "order_id": "Rechnung"}, timezone="Europe/Berlin", currency="EUR")
print("columns:", reading.mapping.columns)

# Clean it: every row that goes is kept in quarantine, with the rule and the reason.
cleaned = clean(reading.history)
for sentence in cleaned.report.sentences():
    print("-", sentence)
print(cleaned.quarantine.select("rule", "reason", "user_id", "time").head(3))

# Check it: what each column is, which questions the data can answer, what to look at.
checkup = examine(reading.history, cleaned, Settings(), reading)
for question in checkup.questions:
    print(f"{question.question}: {question.grade}")

# Features are declared, not computed: the same spec serves training, batches and single events.
history = cleaned.history
spec = f.Features((f.Orders("28d"), f.Recency("purchase"), f.Rate(f.Sum("amount", window="84d"), f.Orders("84d"), name="mean_amount_84d")))
table = spec.table(history.before(history.keys(as_of="2024-05-01")))
print(pl.DataFrame(table.values, list(table.names)).fill_nan(None).describe())
