"""The encoder: BERT, XLM-RoBERTa, JinaBERT v2 and Jina v3, over packed text.

One batch is one long row of tokens: sequences lie end to end, T tokens in all, without padding. Shapes in comments:
T tokens of the batch, H width, N heads, D head width, I inner width, B sequences of one length S.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses
from torch import Tensor

from twofold.local.kernels import (
    alibi_slopes,
    attend_batch,
    attend_packed,
    can_pack,
    rotary_tables,
    rotate_,
)
from twofold.local.packing import LEAST_TOKENS
from twofold.local.products import Plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from twofold.local.packing import Batch
    from twofold.local.products import Product

Positions: TypeAlias = Literal["learned", "alibi", "rotary"]

MLP_ROWS = 2048
"""Rows that go through the MLP at once on a CPU: more than a batch has, and not all of one long text's."""


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder, and where the families differ.

    `gate` says which half of a gated MLP's projection is activated; None is a plain MLP. `first_position` is the row of
    the table of learned positions that the first token takes (RoBERTa leaves two rows out).
    """

    family: str
    width: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    norm_eps: float
    positions: Positions
    max_positions: int
    first_position: int = 0
    rotary_base: float = 10_000.0
    gate: Literal["first", "second"] | None = None

    @property
    def head_width(self) -> int:
        """D."""
        return self.width // self.heads


@dataclass
class Lora:
    """A low-rank term: x @ a.T @ b.T for a linear layer, a[ids] @ b.T for a table; its scale is folded into b."""

    a: Tensor  # (rank, in), or (entries, rank) for a table
    b: Tensor  # (out, rank)


@dataclass
class Linear:
    """A product, and the low-rank term of the adapter in use."""

    product: Product
    loras: dict[str, Lora] = field(default_factory=dict)

    def __call__(self, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, in) -> (T, out)."""
        lora = self._lora(adapter)
        return self.product(x) if lora is None else self.product.add((x @ lora.a.T) @ lora.b.T, x)

    def gelu(self, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, in) -> (T, out), activated; in one kernel where the product can."""
        return self.product.gelu(x) if self._lora(adapter) is None else F.gelu(self(x, adapter))

    def add_to(self, residual: Tensor, x: Tensor, adapter: str | None) -> Tensor:
        """The sum of residual (T, out), which may be overwritten, and of self(x)."""
        if (lora := self._lora(adapter)) is not None:
            residual.addmm_(x @ lora.a.T, lora.b.T)
        return self.product.add(residual, x)

    def _lora(self, adapter: str | None) -> Lora | None:
        return None if adapter is None else self.loras.get(adapter)


@dataclass
class Norm:
    """Layer normalisation."""

    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        """X (T, H) -> (T, H)."""
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass
class Embedding:
    """Word, type and learned position embeddings, then a norm.

    An adapter's term of the words is looked up and multiplied for the batch's own tokens: there is one copy of the
    table whatever the number of adapters.
    """

    word: Tensor  # (vocabulary, H)
    kind: Tensor  # (H,) the embedding of token type 0, which every token has
    position: Tensor | None  # (positions, H)
    norm: Norm
    word_scale: Tensor | None = None  # (vocabulary, 1) for a table in int8
    word_loras: dict[str, Lora] = field(default_factory=dict)  # a (vocabulary, rank), b (H, rank)
    kind_loras: dict[str, Tensor] = field(default_factory=dict)  # (H,)

    def __call__(self, ids: Tensor, positions: Tensor, adapter: str | None) -> Tensor:
        """ids, positions (T,) -> (T, H)."""
        h = F.embedding(ids, self.word)
        if self.word_scale is not None:
            h = h * F.embedding(ids, self.word_scale)
        if adapter is not None and (lora := self.word_loras.get(adapter)) is not None:
            h.addmm_(F.embedding(ids, lora.a), lora.b.T)
        h += self.kind
        if adapter is not None and (kind := self.kind_loras.get(adapter)) is not None:
            h += kind
        if self.position is not None:
            h += F.embedding(positions, self.position)
        return self.norm(h)


@dataclass
class Layer:
    """One block, normalised after each half; `q_norm`, `k_norm` and `norm_again` are JinaBERT v2's second form."""

    qkv: Linear  # (3H, H)
    out: Linear  # (H, H)
    norm_attention: Norm
    up: Linear  # (I, H)
    down: Linear  # (H, I)
    norm_mlp: Norm
    gate: Linear | None = None  # (I, H) what is activated, where it is not `up` itself
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    norm_again: Norm | None = None


class Encoder:
    """The model. `encoder(batch, adapter)` gives the last hidden states, (T, H).

    Attention is computed in `dtype`; the hidden states between the layers have that of the norms.
    """

    def __init__(self, config: EncoderConfig, embedding: Embedding, dtype: torch.dtype) -> None:
        """Take the embedding and compute what follows from the shape alone; `build` adds the layers."""
        self.config = config
        self.embedding = embedding
        self.dtype = dtype
        self.layers: list[Layer] = []
        self.merged: dict[str, list[Layer]] = {}  # adapter -> layers that it is added to already
        device = embedding.word.device
        self.rotary = (
            rotary_tables(config.max_positions, config.head_width, config.rotary_base, device, dtype)
            if config.positions == "rotary"
            else None
        )
        self.slopes = alibi_slopes(config.heads).to(device) if config.positions == "alibi" else None
        self.packed_kernel = config.positions != "alibi" and can_pack(device, dtype, config.head_width)
        # int8 rounds a text alike in every batch where all texts go one way
        least = LEAST_TOKENS if embedding.word_scale is None else 1
        self.least_group = least if device.type == "cpu" and dtype == torch.bfloat16 else None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors held."""
        return sum(tensor_bytes(tensor) for tensor in self.tensors())

    @property
    def attended(self) -> str:
        """Which way attention goes, in words."""
        if self.least_group is not None:
            return "plain products, groups of nearly one length"
        return "packed FlashAttention" if self.packed_kernel else "torch's kernel, runs of one length"

    @property
    def products(self) -> str:
        """Which way the products of the layers go, in words."""
        return self.layers[0].up.product.said

    def tensors(self) -> Iterator[Tensor]:
        """Every weight, adapters included."""
        for part in (self.embedding, *self.layers, *(layer for layers in self.merged.values() for layer in layers)):
            yield from _tensors(part)

    @torch.inference_mode()
    def __call__(self, batch: Batch, adapter: str | None = None) -> Tensor:
        """Batch of T tokens -> (T, H)."""
        h, rotary = self.first(batch, adapter)
        for layer in self.layers if adapter is None else self.merged.get(adapter, self.layers):
            h = self.block(layer, h, rotary, batch, adapter)
        return h

    def first(self, batch: Batch, adapter: str | None) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What enters the first layer, (T, H), and the rotation of each token, for all layers."""
        positions = batch.positions
        h = self.embedding(batch.ids, positions + self.config.first_position, adapter)
        return h, None if self.rotary is None else (self.rotary[0][positions], self.rotary[1][positions])

    def block(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H)."""
        attended = self.attention(layer, h, rotary, batch, adapter).to(h.dtype)
        again = h.clone() if layer.norm_again is not None else None
        x = layer.norm_attention(layer.out.add_to(h, attended, adapter))
        if layer.norm_again is not None and again is not None:
            x = layer.norm_again(x.add_(again))
        return layer.norm_mlp(self.mlp(layer, x, adapter))

    def attention(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H), each sequence attending to itself alone."""
        qkv = layer.qkv(h, adapter).to(self.dtype).view(len(h), 3, self.config.heads, -1)  # (T, 3, N, D)
        if layer.q_norm is not None and layer.k_norm is not None:
            for part, norm in ((0, layer.q_norm), (1, layer.k_norm)):
                qkv[:, part] = norm(qkv[:, part].flatten(1)).view_as(qkv[:, part])
        if rotary is not None:
            rotate_(qkv[:, :2], *rotary)
        if self.packed_kernel:
            return attend_packed(qkv, batch).flatten(1)
        return attend_batch(qkv, batch, self.slopes, self.least_group)

    def mlp(self, layer: Layer, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, H) and its MLP; by blocks of rows on a CPU."""
        rows = MLP_ROWS if x.device.type == "cpu" else len(x)
        parts = [layer.down.add_to(part, self.inner(layer, part, adapter), adapter) for part in torch.split(x, rows)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def inner(self, layer: Layer, x: Tensor, adapter: str | None) -> Tensor:
        """X (rows, H) -> (rows, I), activated, and multiplied by the other half where there is a gate."""
        if layer.gate is None:
            return layer.up.gelu(x, adapter)
        return layer.gate.gelu(x, adapter).mul_(layer.up(x, adapter))


def _tensors(part: object) -> Iterator[Tensor]:
    """Every tensor of a part, however deep."""
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _tensors(value)
    elif is_dataclass(part):
        for item in fields(part):
            yield from _tensors(getattr(part, item.name))


def tensor_bytes(tensor: Tensor) -> int:
    """How many bytes a tensor holds, one in oneDNN's own layout too."""
    return int(torch.ops.mkldnn._nbytes(tensor)) if tensor.is_mkldnn else tensor.nbytes  # noqa: SLF001 - it has no other


Read: TypeAlias = "Callable[[str], Tensor | None]"
Finish: TypeAlias = "Callable[[Encoder, Layer], Layer]"


def build(
    config: EncoderConfig,
    dtype: torch.dtype,
    read: Read,
    loras: Mapping[str, Mapping[str, Lora]],
    finish: Mapping[str | None, Finish],
) -> Encoder:
    """Put an encoder together, layer by layer, so that no more than one layer is there in two forms.

    `read` gives a tensor by the encoder's name (see `layouts`), None where the family has none; `loras` is adapter ->
    name of a linear layer -> its term; `finish[None]` makes of each layer what is held, and each other `finish` what is
    held of the layer with that adapter added to its weights.
    """

    def present(name: str) -> Tensor:
        found = read(name)
        assert found is not None, name  # noqa: S101 - the layout has checked the names
        return found

    def norm(name: str) -> Norm:
        return Norm(present(f"{name}.weight"), present(f"{name}.bias"), config.norm_eps)

    def optional(name: str) -> Norm | None:
        weight, bias = read(f"{name}.weight"), read(f"{name}.bias")
        return None if weight is None or bias is None else Norm(weight, bias, config.norm_eps)

    def linear(name: str) -> Linear:
        terms = {adapter: named[name] for adapter, named in loras.items() if name in named}
        return Linear(Plain(present(f"{name}.weight"), read(f"{name}.bias")), terms)

    embedding = Embedding(
        present("word"),
        present("kind")[0],
        read("position"),
        norm("norm"),
        read("word.scale"),
        {adapter: named["word"] for adapter, named in loras.items() if "word" in named},
        {adapter: named["kind"].b @ named["kind"].a[0] for adapter, named in loras.items() if "kind" in named},
    )
    encoder = Encoder(config, embedding, dtype)
    for i in range(config.layers):
        up, gate = linear(f"{i}.up"), None
        if config.gate is not None:
            up, gate = _halves(up, config.gate)
        layer = Layer(
            qkv=linear(f"{i}.qkv"),
            out=linear(f"{i}.out"),
            norm_attention=norm(f"{i}.norm_attention"),
            up=up,
            down=linear(f"{i}.down"),
            norm_mlp=norm(f"{i}.norm_mlp"),
            gate=gate,
            q_norm=optional(f"{i}.q_norm"),
            k_norm=optional(f"{i}.k_norm"),
            norm_again=optional(f"{i}.norm_again"),
        )
        for adapter, made in finish.items():
            layers = encoder.layers if adapter is None else encoder.merged.setdefault(adapter, [])
            layers.append(made(encoder, layer if adapter is None else _merged(layer, adapter)))
    return encoder


def each(change: Callable[[Plain], Product]) -> Finish:
    """Make something else of every product of a layer."""
    return lambda _, layer: _with(layer, lambda linear, plain: Linear(change(plain), linear.loras))


def _merged(layer: Layer, adapter: str) -> Layer:
    """A layer with an adapter's terms added to its weights."""

    def add(linear: Linear, plain: Plain) -> Linear:
        if (lora := linear.loras.get(adapter)) is None:
            return Linear(plain)
        weight = plain.weight.float().addmm(lora.b.float(), lora.a.float()).to(plain.weight.dtype)
        return Linear(Plain(weight, plain.bias))

    return _with(layer, add)


def _with(layer: Layer, change: Callable[[Linear, Plain], Linear]) -> Layer:
    """A layer as it was read, with something else for each of its linear layers."""
    parts = {item.name: getattr(layer, item.name) for item in fields(layer)}
    changed = {
        name: change(part, part.product)
        for name, part in parts.items()
        if isinstance(part, Linear) and isinstance(part.product, Plain)
    }
    return replace(layer, **changed)  # type: ignore[arg-type]


def _halves(both: Linear, gate: Literal["first", "second"]) -> tuple[Linear, Linear]:
    """The two halves of a gated projection, which has no bias and no adapter: what is activated comes second."""
    assert isinstance(both.product, Plain)  # noqa: S101 - it was just read
    first, second = (Linear(Plain(half)) for half in both.product.weight.chunk(2))
    return (second, first) if gate == "first" else (first, second)
