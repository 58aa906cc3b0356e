"""The encoder for BERT, XLM-RoBERTa, JinaBERT v2 and Jina v3, over packed sequences.

A batch is one long row of T tokens: the sequences lie end to end, without padding. Shapes in comments:
T tokens in the batch, H width, N heads, D head width, I inner width, B sequences of one length S.
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
    gelu_,
    rotary_tables,
    rotate_,
)
from twofold.local.packing import LEAST_TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from twofold.local.kernels import Product
    from twofold.local.packing import Batch

Positions: TypeAlias = Literal["learned", "alibi", "rotary"]

MLP_SIZE = 2_400_000
"""The most elements between the two products of an MLP on a CPU, so that they stay in cache until the second product
reads them: 585 rows for v3, a whole batch for MiniLM. Found by trying sizes on a CPU."""


@dataclass(frozen=True)
class EncoderConfig:
    """The shape of an encoder, and the differences between the families.

    `gate` is the half of a gated MLP's projection that is activated, or None for a plain MLP. `first_position` is the
    first token's row in the table of learned positions (RoBERTa skips two rows).
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
        return self.width // self.heads


@dataclass
class Lora:
    """A low-rank term: x @ a.T @ b.T for a linear layer, a[ids] @ b.T for a table. Its scale is folded into b."""

    a: Tensor  # (rank, in), or (entries, rank) for a table
    b: Tensor  # (out, rank)


@dataclass
class Linear:
    """A product, plus the low-rank term of the adapter in use."""

    product: Product
    loras: dict[str, Lora] = field(default_factory=dict)

    def __call__(self, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, in) -> (T, out)."""
        lora = self._lora(adapter)
        return self.product(x) if lora is None else self.product.add((x @ lora.a.T) @ lora.b.T, x)

    def gelu(self, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, in) -> (T, out) after GELU, in one kernel if the product has one."""
        return self.product.gelu(x) if self._lora(adapter) is None else gelu_(self(x, adapter))

    def add_to(self, residual: Tensor, x: Tensor, adapter: str | None) -> Tensor:
        """Residual (T, out) plus self(x). May overwrite the residual."""
        if (lora := self._lora(adapter)) is not None:
            residual.addmm_(x @ lora.a.T, lora.b.T)
        return self.product.add(residual, x)

    def _lora(self, adapter: str | None) -> Lora | None:
        return None if adapter is None else self.loras.get(adapter)


@dataclass
class Norm:
    weight: Tensor
    bias: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return torch.layer_norm(x, self.weight.shape, self.weight, self.bias, self.eps)


@dataclass
class Embedding:
    """Word, type and learned position embeddings, then a norm.

    An adapter's word term is computed for the tokens of the batch only, so all adapters share one copy of the table.
    """

    word: Tensor  # (vocabulary, H)
    kind: Tensor  # (H,) the embedding of token type 0, the only one used
    position: Tensor | None  # (positions, H)
    norm: Norm
    word_scale: Tensor | None = None  # (vocabulary, 1), only with an int8 table
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
    """One post-norm block. `q_norm`, `k_norm` and `norm_again` occur in JinaBERT v2's second layout."""

    qkv: Linear  # (3H, H)
    out: Linear  # (H, H)
    norm_attention: Norm
    up: Linear  # (I, H)
    down: Linear  # (H, I)
    norm_mlp: Norm
    gate: Linear | None = None  # (I, H) the activated half of a gated MLP
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    norm_again: Norm | None = None


ReadLayers: TypeAlias = "Callable[[Encoder, str | None], list[Layer]]"
"""Reads the layers with an adapter merged into their weights, or the bare layers."""


class Encoder:
    """The model. `encoder(batch, adapter)` returns the last hidden states, (T, H).

    It computes attention in `dtype`. The hidden states between the layers have the dtype of the norms.
    """

    def __init__(self, config: EncoderConfig, embedding: Embedding, dtype: torch.dtype, read: ReadLayers) -> None:
        """`read` reads the layers that `layers` does not contain yet."""
        self.config = config
        self.embedding = embedding
        self.dtype = dtype
        self.layers: dict[str | None, list[Layer]] = {}  # merged adapter -> its layers; None -> the bare layers
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
        """How attention is computed, for people to read."""
        if self.least_group is not None:
            return "plain products, groups of nearly equal length"
        return "packed FlashAttention" if self.packed_kernel else "torch's kernel, runs of equal length"

    @property
    def products(self) -> str:
        """How the products of the layers are computed, for people to read."""
        return next(iter(self.layers.values()))[0].up.product.said

    def tensors(self) -> Iterator[Tensor]:
        """All weights, including adapters."""
        for part in (self.embedding, *(layer for layers in self.layers.values() for layer in layers)):
            yield from _tensors(part)

    def layers_for(self, adapter: str | None) -> list[Layer]:
        """The layers with the adapter merged, or else the bare layers, which are read if they are not in memory."""
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
        """The input of the first layer, (T, H), and each token's cosines and sines, if positions are rotary."""
        h = self.embedding(batch, self.config.first_position, adapter)
        return h, None if self.rotary is None else (batch.placed(self.rotary[0]), batch.placed(self.rotary[1]))

    def mixed(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H): attention, residual and norm."""
        attended = self.attention(layer, h, rotary, batch, adapter).to(h.dtype)
        again = h.clone() if layer.norm_again is not None else None
        x = layer.norm_attention(layer.out.add_to(h, attended, adapter))
        if layer.norm_again is not None and again is not None:
            x = layer.norm_again(x.add_(again))
        return x

    def attention(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H). Each sequence attends only to itself."""
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
        """X (T, H) -> (T, H): MLP, residual and norm, by blocks of rows on a CPU."""
        blocks = -(-len(x) * self.config.inner // MLP_SIZE) if x.device.type == "cpu" else 1
        if blocks <= 1:
            return self.closed(layer, x, self.inner(layer, x, adapter), adapter)
        return torch.cat(
            [self.closed(layer, part, self.inner(layer, part, adapter), adapter) for part in x.tensor_split(blocks)]
        )

    def closed(self, layer: Layer, x: Tensor, inner: Tensor, adapter: str | None) -> Tensor:
        """X (rows, H) -> (rows, H): the second product of the MLP, residual and norm."""
        return layer.norm_mlp(layer.down.add_to(x, inner, adapter))

    def inner(self, layer: Layer, x: Tensor, adapter: str | None) -> Tensor:
        """X (rows, H) -> (rows, I): the first product of the MLP, activated, and gated if it has a gate."""
        if layer.gate is None:
            return layer.up.gelu(x, adapter)
        return layer.gate.gelu(x, adapter).mul_(layer.up(x, adapter))


def _tensors(part: object) -> Iterator[Tensor]:
    if isinstance(part, Tensor):
        yield part
    elif isinstance(part, dict):
        for value in part.values():
            yield from _tensors(value)
    elif is_dataclass(part):
        for item in fields(part):
            yield from _tensors(getattr(part, item.name))


def tensor_bytes(tensor: Tensor) -> int:
    """The size of a tensor in bytes, also of one in oneDNN's opaque layout."""
    return int(torch.ops.mkldnn._nbytes(tensor)) if tensor.is_mkldnn else tensor.nbytes  # noqa: SLF001 - there is no public one
