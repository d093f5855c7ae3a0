"""A trained, quantized model as an integer program: `plan(model)`, `Session(plan, backend, threads).run(x, edges)`."""

from dqviz.integer.kernels import BACKENDS
from dqviz.integer.plan import Plan, plan
from dqviz.integer.session import Session

__all__ = ["BACKENDS", "Plan", "Session", "plan"]
