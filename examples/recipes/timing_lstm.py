"""When do they buy next? An LSTM of three layers of 128 (learning rate .001, 50 epochs) beside the default.

python examples/recipes/timing_lstm.py
python examples/recipes/timing_lstm.py --quick
"""

from shop import EVENTS_ALONE, GRID, Size, run

from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.lstm import Lstm

size = Size.asked(__doc__, households=1000, epochs=50)
net = NeuralCurve(GRID, Lstm(128, 3), training=size.training(learning_rate=1e-3), **EVENTS_ALONE)
run(size, {"LSTM 3 x 128": net}, horizons=(7.0, 14.0, 28.0))
