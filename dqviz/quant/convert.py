"""The seam: `quantize(model, method, bits, profile)` turns a stock PyG model into one whose sites are quantized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Protocol

from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.nn.dense import Linear as PygLinear

from dqviz.quant.guard import Guard, Protection, Shield
from dqviz.quant.hooks import Profile
from dqviz.quant.qtype import FLOAT_BITS
from dqviz.quant.quantizer import Quantizer, State
from dqviz.quant.rectified import Rectified, marked
from dqviz.quant.scene import Scene
from dqviz.quant.sites import sites_of
from dqviz.quant.sparse import linear
from dqviz.quant.where import Site, Where

LINEAR = frozenset({Site.INPUT, Site.WEIGHT, Site.FEATURE})
HEAD_SITES: dict[Profile, frozenset[Site]] = {
    "paper": LINEAR,
    "integer": frozenset({Site.INPUT, Site.WEIGHT}),
}
"""Sites of a linear layer outside message passing (the classifier of graph tasks)."""


class MakeSite(Protocol):
    """Makes the quantizer at an address; `untouched` makes one that passes values as they are."""

    def __call__(self, where: Where, untouched: bool = False) -> Quantizer: ...


class Method(Protocol):
    """What a quantization method answers (DESIGN.md section 3); `dqviz.methods.base.Method` is the base class."""

    def quantizer(self, where: Where, bits: int) -> Quantizer:
        """Which quantizer stands at this site."""
        ...

    def protection(self) -> Protection | None:
        """How nodes are protected at random in training, or None."""
        ...

    @property
    def scene(self) -> Scene:
        """The graph of each forward pass."""
        ...


class QuantLinear(nn.Module):
    """A linear layer with sites INPUT, WEIGHT and FEATURE; takes dense or CSR rows. Bias is added before FEATURE.

    `before_relu`: a `Rectified` follows, so that this layer takes the ReLU as well.
    """

    def __init__(self, old: nn.Module, input: Quantizer, weight: Quantizer, feature: Quantizer, shield: Shield) -> None:
        super().__init__()
        self.weight: nn.Parameter = old.weight  # type: ignore[assignment]
        self.bias: nn.Parameter | None = old.bias  # type: ignore[assignment]
        self.input_q, self.weight_q, self.feature_q, self.shield = input, weight, feature, shield
        self.before_relu = False
        input.fit(self.in_channels)
        for quantizer in (weight, feature):
            quantizer.fit(self.out_channels)

    @property
    def in_channels(self) -> int:
        return self.weight.size(1)

    @property
    def out_channels(self) -> int:
        return self.weight.size(0)

    def forward(self, x: Tensor) -> Tensor:
        """x [rows, in_channels] -> [rows, out_channels]."""
        rows = self.shield.rows
        out = linear(self.input_q(x, rows), self.weight_q(self.weight), self.bias)
        if self.before_relu:
            return marked(self.feature_q.rectified(out, rows))
        return self.feature_q(out, rows)  # type: ignore[no-any-return]


def quantize(model: nn.Module, method: Method, bits: int | Mapping[str, int], profile: Profile = "paper") -> nn.Module:
    """Quantizes `model` in place and returns it.

    `bits`: one number, or a map from site kind ("message") or site key ("1/aggregate") to bits, with "default" for the
    rest (8 where that is absent too). Raises ValueError for a message-passing layer whose sites are not known, and for
    bits of a site that is neither a kind nor in this network.
    """
    convs = [m for m in model.modules() if isinstance(m, MessagePassing)]
    guard = Guard(method.protection(), method.scene)
    before = leading(model)
    if before:  # their rows are nodes
        swap(before, 0, maker(method, bits, LINEAR), guard.add_layer(), own_codes=profile == "integer")
    for layer, conv in enumerate(convs, start=1 if before else 0):
        kind = sites_of(type(conv))
        if kind is None:
            raise ValueError(f"The sites of {type(conv).__name__} are not known; add them to dqviz/quant/sites.py.")
        shield = guard.add_layer()
        active = kind.paper if profile == "paper" else kind.integer

        make = maker(method, bits, active)
        sites = kind(layer, profile, make, shield)
        swap_linears(conv, layer, make, guard.inside(shield, kind.mlp), own_codes=profile == "integer")
        sites.attach(conv)
        conv.add_module("sites", sites)
    quantize_head(model, len(guard.shields), method, bits, profile)
    require_known_sites(model, bits)
    model.add_module("guard", guard)
    guard.attach(model)
    return model


def require_known_sites(model: nn.Module, bits: int | Mapping[str, int]) -> None:
    """A misspelt name in a map of bits would leave its site at the default without a word."""
    known = {"default", *Site, *(q.key for q in quantizers(model))}
    unknown = [] if isinstance(bits, int) else [name for name in bits if name not in known]
    if unknown:
        raise ValueError(f"There is no site {unknown[0]!r}; choose among: {', '.join(sorted(known))}.")


def quantize_head(
    model: nn.Module, layer: int, method: Method, bits: int | Mapping[str, int], profile: Profile
) -> None:
    """Swaps what linear layers remain outside message passing; their rows are graphs, so nothing is protected."""
    swap_linears(model, layer, maker(method, bits, HEAD_SITES[profile]), Shield())


def swap_linears(module: nn.Module, layer: int, make: MakeSite, shield: Shield, own_codes: bool = False) -> None:
    """Replaces every Linear below `module` by a QuantLinear. Parts: '' for a single one, else named by `part_name`."""
    swap(linears(module), layer, make, shield, own_codes)


Child = tuple[nn.Module, str, nn.Module]
"""A parent, the name of one of its children, and that child."""


def linears(module: nn.Module) -> list[Child]:
    """Every Linear below `module`."""
    return [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear | PygLinear)
    ]


def leading(model: nn.Module) -> list[Child]:
    """The Linears that a model holds before its first message-passing layer: what they read are nodes' own rows."""
    names = [name for name, m in model.named_modules() if isinstance(m, nn.Linear | PygLinear | MessagePassing)]
    first = next((i for i, name in enumerate(names) if isinstance(model.get_submodule(name), MessagePassing)), 0)
    before = {id(model.get_submodule(name)) for name in names[:first]}
    return [found for found in linears(model) if id(found[2]) in before]


def swap(found: Sequence[Child], layer: int, make: MakeSite, shield: Shield, own_codes: bool = False) -> None:
    """Puts a QuantLinear in the place of each."""
    for index, (parent, name, child) in enumerate(found):
        part = part_name(name, index, len(found))
        skip = OWN_CODES.get(part) if own_codes else None
        quantizer = {
            site: make(Where(layer, part, site), site is skip) for site in (Site.INPUT, Site.WEIGHT, Site.FEATURE)
        }
        made = QuantLinear(child, quantizer[Site.INPUT], quantizer[Site.WEIGHT], quantizer[Site.FEATURE], shield)
        setattr(parent, name, made)
        made.before_relu = take_relu(parent, name)


def take_relu(parent: nn.Module, name: str) -> bool:
    """Whether a ReLU comes right after this child of a Sequential; that one is made to let rectified rows pass."""
    pairs = pairwise(parent.named_children()) if isinstance(parent, nn.Sequential) else ()
    after = next((child for before, child in pairs if before[0] == name), None)
    if after is None or type(after[1]) is not nn.ReLU:
        return False
    setattr(parent, after[0], Rectified())
    return True


NAMED_PARTS = {"lin_l": "neighbours", "lin_r": "root", "hidden": "hidden", "classes": "classes"}
"""SAGE's two linear layers, and those of an MLP before the propagation: its first one reads the data set's own rows."""

OWN_CODES = {"root": Site.INPUT, "hidden": Site.FEATURE}
"""Left alone in profile `integer`: SAGE's root term reads the codes that entered the layer, and what leaves the first
layer of an MLP is quantized where it enters the next: no second quantization."""


def part_name(name: str, index: int, count: int) -> str:
    """'' for the only linear layer, a name of NAMED_PARTS, else 'mlp1', 'mlp2', ..."""
    return "" if count == 1 else NAMED_PARTS.get(name, f"mlp{index + 1}")


def bits_at(bits: int | Mapping[str, int], where: Where) -> int:
    if isinstance(bits, int):
        return bits
    return bits.get(where.key, bits.get(where.site, bits.get("default", 8)))


def maker(method: Method, bits: int | Mapping[str, int], active: frozenset[Site]) -> MakeSite:
    """Makes quantizers of `method`; a site that is not active is there too (it can be recorded) but passes values."""

    def make(where: Where, untouched: bool = False) -> Quantizer:
        width = FLOAT_BITS if untouched or where.site not in active else bits_at(bits, where)
        quantizer = method.quantizer(where, width)
        quantizer.where, quantizer.asked = where, width
        return quantizer

    return make


def quantizers(model: nn.Module) -> Iterator[Quantizer]:
    """All quantizers of a model, in order of registration."""
    return (m for m in model.modules() if isinstance(m, Quantizer))


def set_state(model: nn.Module, state: State) -> None:
    for quantizer in quantizers(model):
        quantizer.state = state


@contextmanager
def twin(model: nn.Module) -> Iterator[nn.Module]:
    """The same trained weights with all quantizers off (METHODS section 8)."""
    before = [(q, q.state) for q in quantizers(model)]
    set_state(model, "off")
    try:
        yield model
    finally:
        for quantizer, state in before:
            quantizer.state = state
