"""A calibrating method (PTQ) in a search: its weights do not depend on what is tried and are trained once a seed."""

from __future__ import annotations

from torch import Tensor, nn

from dqviz.jobs import network
from dqviz.jobs.network import Network
from dqviz.jobs.search.blind import blind_task
from dqviz.jobs.search.plan import Ask
from dqviz.quant import Quantizer
from dqviz.quant.convert import set_state
from dqviz.spec import RunSpec
from dqviz.training import train
from dqviz.training.batches import Feed
from dqviz.training.loop import calibrate, validated

_kept: dict[str, dict[str, Tensor]] = {}
MOST_KEPT = 8


def calibrated(net: Network, spec: RunSpec, should_stop: Ask) -> float:
    """Validation accuracy after calibration; what training `spec` from its first weights gives (tested).

    Raises Diverged where the calibrated network's loss is not finite.
    """
    net.model.load_state_dict(weights(spec, should_stop), strict=False)
    feed = Feed(net.task, spec.optimizer.batch_size)
    calibrate(net.model, net.method, feed)
    set_state(net.model, "on")
    return validated(net.model, feed).accuracy


def weights(spec: RunSpec, should_stop: Ask) -> dict[str, Tensor]:
    """Trained weights of `spec` without anything of its quantizers; the newest few are kept."""
    plain = spec.model_copy(update={"method": "fp32", "bits": 32, "method_settings": {}})
    if plain.digest not in _kept:
        net = network.build(plain, blind_task(plain))
        train(net.model, net.task, net.method, plain.optimizer, plain.epochs, should_stop=should_stop)
        while len(_kept) >= MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[plain.digest] = own_state(net.model)
    return _kept[plain.digest]


def own_state(model: nn.Module) -> dict[str, Tensor]:
    """The state of everything that is no quantizer."""
    quantizers = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, Quantizer))
    return {name: value for name, value in model.state_dict().items() if not name.startswith(quantizers)}
