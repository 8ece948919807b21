"""The first forecast: who buys next, when, and for how much.

    python examples/first_forecast.py

It needs no file: a simulated shop stands in for yours.
"""

import whenbuy as wb

# Three lines. For a shop of your own the first is: history = wb.read("events.csv")
history = wb.simulate(users=120, days=160, seed=1).history
model = wb.fit(history)
forecast = model.predict(history)

# One row per customer: the chance to buy within 7, 14 and 28 days, the date, the amount, the likeliest category.
people = forecast.frame()
print(people.sort("p_purchase_7d", descending=True).select("user_id", "p_purchase_7d", "p_purchase_28d", "next_purchase_p50").head())

# One customer's curve: the chance to have bought by each day. All horizons are read off it, so they never contradict each other.
curve = forecast.curve(people["user_id"][0])
print("within 3 and 30 days:", curve.probability(3.0).round(2), curve.probability(30.0).round(2))

# What was tried for each answer, and what won.
for choice in model.choices:
    if choice.chosen:
        print(f"{choice.answer}: {choice.model}")

# In a notebook `forecast` shows itself; .plot() gives the chart alone.
chart = forecast.plot()
