"""The encoder: BERT, XLM-RoBERTa, JinaBERT v2 and Jina v3, over packed text.

One batch is one long row of tokens: sequences lie end to end, T tokens in all, without padding. Shapes in comments:
T tokens of the batch, H width, N heads, D head width, I inner width, B sequences of one length S.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
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
from twofold.local.products import gelu_

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twofold.local.packing import Batch
    from twofold.local.products import Product

Positions: TypeAlias = Literal["learned", "alibi", "rotary"]

MLP_SIZE = 2_400_000
"""Elements between the two products of an MLP at once on a CPU, so that what is made of one is not out of cache
before the other has read it: 585 rows of v3's, and all of a batch of MiniLM's. Found by trying sizes on a CPU."""


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
        return self.product.gelu(x) if self._lora(adapter) is None else gelu_(self(x, adapter))

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
        return torch.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


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

    def __call__(self, batch: Batch, first_position: int, adapter: str | None) -> Tensor:
        """Batch of T tokens -> (T, H)."""
        ids = batch.ids
        h = F.embedding(ids, self.word)
        if self.word_scale is not None:
            h = h * F.embedding(ids, self.word_scale)
        if adapter is not None and (lora := self.word_loras.get(adapter)) is not None:
            h.addmm_(F.embedding(ids, lora.a), lora.b.T)
        h += self.kind
        if adapter is not None and (kind := self.kind_loras.get(adapter)) is not None:
            h += kind
        if self.position is not None:
            h += batch.placed(self.position, first_position)
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


ReadLayers: TypeAlias = "Callable[[Encoder, str | None], list[Layer]]"
"""Gives the layers with an adapter in their weights, or the bare ones."""


class Encoder:
    """The model. `encoder(batch, adapter)` gives the last hidden states, (T, H).

    Attention is computed in `dtype`; the hidden states between the layers have that of the norms.
    """

    def __init__(self, config: EncoderConfig, embedding: Embedding, dtype: torch.dtype, read: ReadLayers) -> None:
        """Take the embedding and compute what follows from the shape alone; `read` gives the layers."""
        self.config = config
        self.embedding = embedding
        self.dtype = dtype
        self.layers: dict[str | None, list[Layer]] = {}  # those that an adapter is added to already; None is the bare
        self.read = read
        device = embedding.word.device
        self.rotary = (
            rotary_tables(config.max_positions, config.head_width, config.rotary_base, device, dtype)
            if config.positions == "rotary"
            else None
        )
        self.slopes = alibi_slopes(config.heads).to(device) if config.positions == "alibi" else None
        self.packed_kernel = config.positions != "alibi" and can_pack(device, dtype, config.head_width)
        self.least_group = LEAST_TOKENS if device.type == "cpu" and dtype == torch.bfloat16 else None
        self.steady = embedding.word_scale is not None and self.least_group is not None

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
        return next(iter(self.layers.values()))[0].up.product.said

    def tensors(self) -> Iterator[Tensor]:
        """Every weight, adapters included."""
        for part in (self.embedding, *(layer for layers in self.layers.values() for layer in layers)):
            yield from _tensors(part)

    def layers_for(self, adapter: str | None) -> list[Layer]:
        """Those that have the adapter in their weights, or the bare ones, which are read now if they were not yet."""
        if adapter not in self.layers:
            adapter = None
        if adapter not in self.layers:
            self.layers[adapter] = self.read(self, adapter)
        return self.layers[adapter]

    @torch.inference_mode()
    def __call__(self, batch: Batch, adapter: str | None = None) -> Tensor:
        """Batch of T tokens -> (T, H)."""
        h, rotary = self.first(batch, adapter)
        for layer in self.layers_for(adapter):
            h = self.mlp(layer, self.mixed(layer, h, rotary, batch, adapter), adapter)
        return h

    def first(self, batch: Batch, adapter: str | None) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """What enters the first layer, (T, H), and the rotation of each token, for all layers."""
        h = self.embedding(batch, self.config.first_position, adapter)
        return h, None if self.rotary is None else (batch.placed(self.rotary[0]), batch.placed(self.rotary[1]))

    def mixed(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H): attention, added and normalised."""
        attended = self.attention(layer, h, rotary, batch, adapter).to(h.dtype)
        again = h.clone() if layer.norm_again is not None else None
        x = layer.norm_attention(layer.out.add_to(h, attended, adapter))
        if layer.norm_again is not None and again is not None:
            x = layer.norm_again(x.add_(again))
        return x

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
        return attend_batch(qkv, batch, self.slopes, self.least_group, steady=self.steady)

    def mlp(self, layer: Layer, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, H) -> (T, H): the MLP, added and normalised; by blocks of rows on a CPU."""
        blocks = -(-len(x) * self.config.inner // MLP_SIZE) if x.device.type == "cpu" else 1
        if blocks <= 1:
            return self.closed(layer, x, self.inner(layer, x, adapter), adapter)
        return torch.cat(
            [self.closed(layer, part, self.inner(layer, part, adapter), adapter) for part in x.tensor_split(blocks)]
        )

    def closed(self, layer: Layer, x: Tensor, inner: Tensor, adapter: str | None) -> Tensor:
        """X (rows, H), with what its MLP made of it added and normalised."""
        return layer.norm_mlp(layer.down.add_to(x, inner, adapter))

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
