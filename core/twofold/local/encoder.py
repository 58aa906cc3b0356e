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

from twofold.local.kernels import alibi_slopes, attend, attend_packed, can_pack, rotary_tables, rotate_

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from twofold.local.packing import Batch

Positions: TypeAlias = Literal["learned", "alibi", "rotary"]

MLP_ROWS = 1024
"""Rows that go through the MLP at once on a CPU: its inner activations then stay in cache."""


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
    """y = x @ weight.T + bias, and the adapter's low-rank term. An int8 weight has one scale for each output."""

    weight: Tensor  # (out, in)
    bias: Tensor | None = None
    scale: Tensor | None = None  # (out,) for an int8 weight
    loras: dict[str, Lora] = field(default_factory=dict)

    def __call__(self, x: Tensor, adapter: str | None) -> Tensor:
        """X (T, in) -> (T, out)."""
        if self.scale is None:
            y = F.linear(x, self.weight, self.bias)
        else:
            y = F.linear(x, self.weight.to(x.dtype)).mul_(self.scale)
            y = y if self.bias is None else y.add_(self.bias)
        return self._adapt(y, x, adapter)

    def add_to(self, residual: Tensor, x: Tensor, adapter: str | None) -> Tensor:
        """Residual (T, out) += self(x), in place: the product accumulates where it is needed, in no tensor between."""
        if self.scale is not None:
            return residual.add_(self(x, adapter))
        if self.bias is not None:
            residual.add_(self.bias)
        return self._adapt(residual.addmm_(x, self.weight.T), x, adapter)

    def _adapt(self, y: Tensor, x: Tensor, adapter: str | None) -> Tensor:
        if adapter is not None and (lora := self.loras.get(adapter)) is not None:
            y.addmm_(x @ lora.a.T, lora.b.T)
        return y


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
    word_loras: dict[str, Lora] = field(default_factory=dict)  # a (vocabulary, rank), b (H, rank)
    kind_loras: dict[str, Tensor] = field(default_factory=dict)  # (H,)

    def __call__(self, ids: Tensor, positions: Tensor, adapter: str | None) -> Tensor:
        """ids, positions (T,) -> (T, H)."""
        h = F.embedding(ids, self.word)
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
    up: Linear  # (I, H), or (2I, H) with a gate
    down: Linear  # (H, I)
    norm_mlp: Norm
    q_norm: Norm | None = None
    k_norm: Norm | None = None
    norm_again: Norm | None = None


class Encoder:
    """The model. `encoder(batch, adapter)` gives the last hidden states, (T, H)."""

    def __init__(self, config: EncoderConfig, embedding: Embedding, layers: Sequence[Layer]) -> None:
        """Take the parts as `build` made them, and compute what follows from the shape alone."""
        self.config = config
        self.embedding = embedding
        self.layers = list(layers)
        device, dtype = embedding.word.device, embedding.norm.weight.dtype
        self.rotary = (
            rotary_tables(config.max_positions, config.head_width, config.rotary_base, device, dtype)
            if config.positions == "rotary"
            else None
        )
        self.slopes = alibi_slopes(config.heads).to(device) if config.positions == "alibi" else None
        self.packed_kernel = config.positions != "alibi" and can_pack(device, dtype, config.head_width)

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors held."""
        return sum(tensor.nbytes for tensor in self.tensors())

    def tensors(self) -> Iterator[Tensor]:
        """Every weight, adapters included."""
        for part in (self.embedding, *self.layers):
            yield from _tensors(part)

    @torch.inference_mode()
    def __call__(self, batch: Batch, adapter: str | None = None) -> Tensor:
        """Batch of T tokens -> (T, H)."""
        positions = batch.positions
        h = self.embedding(batch.ids, positions + self.config.first_position, adapter)
        rotary = None if self.rotary is None else (self.rotary[0][positions], self.rotary[1][positions])
        for layer in self.layers:
            h = self.block(layer, h, rotary, batch, adapter)
        return h

    def block(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H)."""
        attended = self.attention(layer, h, rotary, batch, adapter)
        again = h.clone() if layer.norm_again is not None else None
        x = layer.norm_attention(layer.out.add_to(h, attended, adapter))
        if layer.norm_again is not None and again is not None:
            x = layer.norm_again(x.add_(again))
        self.mlp_(layer, x, adapter)
        return layer.norm_mlp(x)

    def attention(
        self, layer: Layer, h: Tensor, rotary: tuple[Tensor, Tensor] | None, batch: Batch, adapter: str | None
    ) -> Tensor:
        """H (T, H) -> (T, H), each sequence attending to itself alone."""
        qkv = layer.qkv(h, adapter).view(len(h), 3, self.config.heads, -1)  # (T, 3, N, D)
        if layer.q_norm is not None and layer.k_norm is not None:
            for part, norm in ((0, layer.q_norm), (1, layer.k_norm)):
                qkv[:, part] = norm(qkv[:, part].flatten(1)).view_as(qkv[:, part])
        if rotary is not None:
            rotate_(qkv[:, :2], *rotary)
        if self.packed_kernel:
            return attend_packed(qkv, batch).flatten(1)
        parts = []
        for start, count, length in batch.runs():
            run = qkv[start : start + count * length].view(count, length, 3, *qkv.shape[2:])
            q, k, v = run.permute(2, 0, 3, 1, 4)  # each (B, N, S, D)
            parts.append(attend(q, k, v, self.slopes).transpose(1, 2).reshape(count * length, -1))
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def mlp_(self, layer: Layer, x: Tensor, adapter: str | None) -> None:
        """Add its MLP to x (T, H), in place; by blocks of rows on a CPU."""
        rows = MLP_ROWS if x.device.type == "cpu" else len(x)
        for part in torch.split(x, rows):
            layer.down.add_to(part, self.activate(layer.up(part, adapter)), adapter)

    def activate(self, u: Tensor) -> Tensor:
        """(rows, I) -> (rows, I), or (rows, 2I) -> (rows, I) through the gate."""
        if self.config.gate is None:
            return F.gelu(u)
        first, second = u.chunk(2, dim=-1)
        return F.gelu(first) * second if self.config.gate == "first" else first * F.gelu(second)


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


def build(config: EncoderConfig, tensors: Mapping[str, Tensor], loras: Mapping[str, Mapping[str, Lora]]) -> Encoder:
    """Put named tensors (see `layouts`) together; `loras` is adapter -> name of a linear layer -> its term."""

    def norm(name: str) -> Norm | None:
        weight = tensors.get(f"{name}.weight")
        return None if weight is None else Norm(weight, tensors[f"{name}.bias"], config.norm_eps)

    def linear(name: str) -> Linear:
        terms = {adapter: named[name] for adapter, named in loras.items() if name in named}
        return Linear(tensors[f"{name}.weight"], tensors.get(f"{name}.bias"), tensors.get(f"{name}.scale"), terms)

    def present(name: str) -> Norm:
        found = norm(name)
        assert found is not None, name  # noqa: S101 - the layout has checked the names
        return found

    embedding = Embedding(
        tensors["word"],
        tensors["kind"][0],
        tensors.get("position"),
        present("norm"),
        {adapter: named["word"] for adapter, named in loras.items() if "word" in named},
        {adapter: named["kind"].b @ named["kind"].a[0] for adapter, named in loras.items() if "kind" in named},
    )
    layers = [
        Layer(
            qkv=linear(f"{i}.qkv"),
            out=linear(f"{i}.out"),
            norm_attention=present(f"{i}.norm_attention"),
            up=linear(f"{i}.up"),
            down=linear(f"{i}.down"),
            norm_mlp=present(f"{i}.norm_mlp"),
            q_norm=norm(f"{i}.q_norm"),
            k_norm=norm(f"{i}.k_norm"),
            norm_again=norm(f"{i}.norm_again"),
        )
        for i in range(config.layers)
    ]
    return Encoder(config, embedding, layers)
