"""What do the visits alone say, one after the other? A simple RNN (50, tanh) with one number behind it, beside the default.

python examples/recipes/sequence_rnn.py
python examples/recipes/sequence_rnn.py --quick
"""

from shop import EVENTS_ALONE, Size, run

from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.simple_rnn import SimpleRnn

size = Size.asked(__doc__, households=1000, epochs=50)
week = (7.0,)
net = NeuralCurve(week, SimpleRnn(50, activation="tanh"), training=size.training(), **EVENTS_ALONE)
run(size, {"RNN 50, tanh": net}, horizons=week)
