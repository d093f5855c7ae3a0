"""One thread: the same sums in the same order, and the other core free."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
