"""dqviz: see where a quantized graph neural network loses accuracy, and what to do about it."""

__version__ = "0.1.0"
