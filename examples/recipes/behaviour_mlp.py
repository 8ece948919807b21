"""Do they buy within a week? Layers of 64, 32 and 1 on what they did in windows of time, beside the default.

python examples/recipes/behaviour_mlp.py
python examples/recipes/behaviour_mlp.py --quick
"""

from shop import Size, run

from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.mlp import Mlp

size = Size.asked(__doc__, households=1000, epochs=50)
week = (7.0,)  # one bin: the last layer has one number, the log-odds to buy
net = NeuralCurve(week, Mlp(), hidden=(64, 32), training=size.training())
run(size, {"MLP 64-32-1": net}, horizons=week)
