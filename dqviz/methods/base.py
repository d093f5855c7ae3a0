"""What every method answers, and the registry they stand in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from dqviz.quant.guard import Protection
from dqviz.quant.observers import make_observer
from dqviz.quant.qtype import QType
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.scene import Scene
from dqviz.quant.where import NEVER_NEGATIVE, Where
from dqviz.registry import Registry, Settings

ObserverName = Literal["abs", "mom", "per"]


def late(finetune: float, epoch: int, epochs: int) -> State:
    """On for the last `finetune` (a share) of the epochs, the last one at least; off before."""
    return "on" if epoch >= epochs - max(1, round(finetune * epochs)) else "off"


MOST_BITS = 8
"""Where the penalty of a method that learns bits counts 1."""


def searching(share: float, epoch: int, epochs: int) -> State:
    """A search for bits in the first `share` of the epochs, never in the last one; then they rest."""
    return "search" if epoch < int(share * epochs) else "on"


def mean_over_values(costs: Sequence[tuple[int, Tensor]]) -> Tensor | None:
    """Mean cost of a value: how many values each site has and what one of them costs; None without a site."""
    if not costs:
        return None
    terms = [values * cost for values, cost in costs]
    return sum(terms[1:], terms[0]) / sum(values for values, _ in costs)


def rates_apart(
    model: nn.Module, lr: float, weight_decay: float, own: Sequence[tuple[list[nn.Parameter], float]]
) -> list[dict[str, Any]]:
    """Parameter groups: the model's weights, then each part of `own` at its own rate and without weight decay.

    A part without parameters is no group.
    """
    known = {id(p) for part, _ in own for p in part}
    rest = {"params": [p for p in model.parameters() if id(p) not in known], "lr": lr, "weight_decay": weight_decay}
    return [rest, *({"params": part, "lr": rate, "weight_decay": 0.0} for part, rate in own if part)]


class RangeSettings(Settings):
    """How ranges are observed and how the gradient passes (METHODS 1.2)."""

    observer: ObserverName = Field(
        default="per", description="Range rule: abs (running min/max), mom (momentum), per (percentile)."
    )
    gradient: Literal["ste", "gc"] = Field(
        default="ste", description="Backward rule: ste (straight through) or gc (zero at the two extreme codes)."
    )
    momentum: float = Field(default=0.01, gt=0, le=1, description="Momentum c of the mom observer.")
    percentile: float = Field(
        default=0.0, ge=0, lt=0.5, description="Share clipped at each end by per; 0: 0.001 from 8 bits up, else 0.01."
    )


class Method:
    """Base class: affine fake quantization at every site, nothing protected, nothing added to the loss.

    A method overrides what it does differently; one object belongs to one network. `training_state` is the quantizers'
    state while the weights are trained ("off" for post-training quantization, which calibrates afterwards:
    `calibrates`). `prepares`: before quantizers are switched on in training they take their ranges in one pass over
    the training data. `scene` is the graph of each forward pass, for quantizers that treat nodes by degree or one by
    one. `batch_nodes`: nodes of a training batch of a node task, the rest of the graph being seen through what the
    quantizers know of it; 0: the whole graph. `penalty` is asked for once after each forward pass of the training.
    """

    training_state: State = "on"
    calibrates = False
    batch_nodes = 0
    prepares = False

    def __init__(self, settings: RangeSettings) -> None:
        self.settings = settings
        self.scene = Scene()

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        """Which quantizer stands at this site."""
        s = self.settings
        observer = make_observer(s.observer, bits, momentum=s.momentum, percentile=s.percentile)
        return Quantizer(QType(bits, signed=where.site not in NEVER_NEGATIVE), observer, s.gradient)

    def state_at(self, epoch: int, epochs: int) -> State:
        """The quantizers' state in an epoch (from 0); only epochs of the last one's state can be the best."""
        return self.training_state

    def calibrated(self, model: nn.Module) -> None:
        """Called when quantizers have taken their ranges in a pass over the training data."""

    def protection(self) -> Protection | None:
        """How nodes are protected at random in training; None: not at all."""
        return None

    def penalty(self, model: nn.Module) -> Tensor | None:
        """What is added to the loss of a training step."""
        return None

    def parameter_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict[str, Any]]:
        """Parameter groups of the optimizer."""
        return [{"params": list(model.parameters()), "lr": lr, "weight_decay": weight_decay}]


class FinetuneSettings(RangeSettings):
    """From when on values are quantized."""

    finetune: float = Field(
        default=1.0, gt=0, le=1, description="Share of the epochs, the last ones, that are quantized; before: float."
    )


class Finetuned(Method):
    """Quantized for the last epochs; where these are not all, ranges are taken in one pass before."""

    settings: FinetuneSettings

    def __init__(self, settings: FinetuneSettings) -> None:
        super().__init__(settings)
        self.prepares = settings.finetune < 1

    def state_at(self, epoch: int, epochs: int) -> State:
        return late(self.settings.finetune, epoch, epochs)


METHODS: Registry[Method] = Registry("method")


def make(name: str, settings: Mapping[str, Any] | None = None) -> Method:
    """The method of that name with validated settings. Raises BadInput for an unknown name or setting."""
    return METHODS[name].make(METHODS.settings(name, dict(settings or {})))
