"""Training and evaluation: pure functions over a model and a task that report through `emit(row)`."""

from dqviz.training.evaluate import Score, evaluate, predict
from dqviz.training.loop import Trained, train
from dqviz.training.trace import Recorded, trace

__all__ = ["Recorded", "Score", "Trained", "evaluate", "predict", "trace", "train"]
