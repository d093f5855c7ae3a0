"""Real Cora: thirty epochs are enough to learn, at full precision and with Degree-Quant at 8 bits."""

from __future__ import annotations

import os

import pytest
from jobs_runs import spec

from dqviz.errors import Unavailable
from dqviz.jobs import network
from dqviz.training import train


@pytest.mark.parametrize(("method", "bits"), [("fp32", 32), ("dq", 8)])
def test_cora_is_learned(method: str, bits: int) -> None:
    wanted = spec("gcn", method, dataset="cora", bits=bits, epochs=30)
    try:
        net = network.build(wanted)
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"Cora is not here: {reason}")
    trained = train(net.model, net.task, net.method, wanted.optimizer, wanted.epochs)
    assert trained.best.accuracy > 0.6
