"""How likely is a purchase within 7, 14 and 28 days? MLP on windows, CNN and RNN on visits, beside the default.

python examples/recipes/propensity.py
python examples/recipes/propensity.py --quick
"""

from shop import EVENTS_ALONE, Size, run

from whenbuy.models.neural.curve import NeuralCurve
from whenbuy.models.neural.mlp import Mlp
from whenbuy.models.neural.simple_rnn import SimpleRnn
from whenbuy.models.neural.temporal_cnn import TemporalCnn

size = Size.asked(__doc__, households=1000, epochs=30)
days = (7.0, 14.0, 28.0)
training = size.training()
nets = {
    "MLP": NeuralCurve(days, Mlp(), hidden=(64,), training=training),
    "CNN": NeuralCurve(days, TemporalCnn(64, 3), training=training, **EVENTS_ALONE),
    "RNN": NeuralCurve(days, SimpleRnn(64), training=training, **EVENTS_ALONE),
}
run(size, nets, horizons=days)
