"""QType: how many bits a code has and where its integers begin."""

from __future__ import annotations

from dataclasses import dataclass

FLOAT_BITS = 32


@dataclass(frozen=True)
class QType:
    """An integer type of `bits` bits, signed (-2^(b-1) .. 2^(b-1)-1) or unsigned (0 .. 2^b-1); 32 bits mean float32."""

    bits: int
    signed: bool = True

    @property
    def is_float(self) -> bool:
        return self.bits >= FLOAT_BITS

    @property
    def qmin(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        return self.qmin + (1 << self.bits) - 1

    @property
    def levels(self) -> int:
        return 1 << self.bits
