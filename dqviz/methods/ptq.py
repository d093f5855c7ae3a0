"""Post-training quantization: train at full precision, then take ranges from the trained network on its training data.

Use it when nothing may be retrained. It is not quantization-aware: the weights never saw a quantizer, so it falls
behind `qat` below 8 bits. Source: Jacob et al. 2018 (arXiv 1712.05877), section 3.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dqviz.methods.base import Method, RangeSettings
from dqviz.registry import Entry


class PtqSettings(RangeSettings):
    """PTQ takes min/max of the calibration pass by default."""

    observer: Literal["abs", "mom", "per"] = Field(
        default="abs", description="Range rule of the calibration pass: abs (min/max), mom, per (percentile)."
    )


class Ptq(Method):
    """Quantizers stay off while the weights train, then observe one pass over the training data."""

    training_state = "off"
    calibrates = True


ENTRY: Entry[Method] = Entry("ptq", "Post-training quantization: ranges calibrated on a trained FP32 network.", Ptq,
                             PtqSettings, cites=("jacob2018",), facts={"label": "PTQ", "quantized": True})  # fmt: skip
