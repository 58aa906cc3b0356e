"""Builds an encoder from a checkpoint, converting one weight at a time so that at most one is held in two forms."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

from twofold.local.device import trim_memory
from twofold.local.encoder import Embedding, Encoder, Layer, Linear, Norm
from twofold.local.kernels import Plain

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    import torch
    from torch import Tensor

    from twofold.local.encoder import EncoderConfig, Lora
    from twofold.local.kernels import Product

Read: TypeAlias = "Callable[[str], Tensor | None]"
Finish: TypeAlias = "Callable[[Encoder, Layer], Layer]"


@dataclass
class Stored:
    """A linear layer whose weight is still in its file: the placeholder that `Builder` puts into a layer."""

    said: ClassVar[str] = "read for each product"
    read: Callable[[], Plain]

    def __call__(self, x: Tensor) -> Tensor:
        return self.read()(x)

    def gelu(self, x: Tensor) -> Tensor:
        return self.read().gelu(x)

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        return self.read().add(other, x)


@dataclass
class Builder:
    """Reads the layers of a checkpoint and converts them to the form that the encoder uses.

    Attributes:
        config: the encoder's shape.
        read: returns a tensor by the encoder's name for it (see `layouts`), or None if the family lacks it.
        loras: adapter -> name of a linear layer -> its low-rank term.
        finish: returns the conversion of the bare layers (None) or of those with an adapter merged into them.
    """

    config: EncoderConfig
    read: Read
    loras: Mapping[str, Mapping[str, Lora]]
    finish: Callable[[str | None], Finish]

    def encoder(self, dtype: torch.dtype, merge: Collection[str] = ()) -> Encoder:
        """Read the tables, and one copy of the layers per adapter in `merge`, or the bare layers without `merge`.

        With `merge`, the bare layers are read later, if a task needs them.
        """
        terms = [(adapter, named) for adapter, named in self.loras.items() if "kind" in named]
        embedding = Embedding(
            self._present("word"),
            self._present("kind")[0],
            self.read("position"),
            self._norm("norm"),
            self.read("word.scale"),
            {adapter: named["word"] for adapter, named in self.loras.items() if "word" in named},
            {adapter: named["kind"].b @ named["kind"].a[0] for adapter, named in terms},
        )
        encoder = Encoder(self.config, embedding, dtype, self.layers)
        for adapter in merge or (None,):
            encoder.layers[adapter] = self.layers(encoder, adapter)
        return encoder

    def layers(self, encoder: Encoder, adapter: str | None) -> list[Layer]:
        """Read all layers, with an adapter merged if one is named. Each is converted before the next one is read."""
        finish, layers = self.finish(adapter), []
        for number in range(self.config.layers):
            layer = self._layer(number)
            layers.append(finish(encoder, layer if adapter is None else _merged(layer, adapter)))
            trim_memory()
        return layers

    def _layer(self, number: int) -> Layer:
        def linear(part: str) -> Linear:
            name = f"{number}.{part}"
            terms = {adapter: named[name] for adapter, named in self.loras.items() if name in named}
            return Linear(Stored(lambda: Plain(self._present(f"{name}.weight"), self.read(f"{name}.bias"))), terms)

        up, gate = linear("up"), None
        if self.config.gate is not None:
            first, second = (_half(up, half) for half in (0, 1))
            up, gate = (second, first) if self.config.gate == "first" else (first, second)
        return Layer(
            qkv=linear("qkv"),
            out=linear("out"),
            norm_attention=self._norm(f"{number}.norm_attention"),
            up=up,
            down=linear("down"),
            norm_mlp=self._norm(f"{number}.norm_mlp"),
            gate=gate,
            q_norm=self._optional(f"{number}.q_norm"),
            k_norm=self._optional(f"{number}.k_norm"),
            norm_again=self._optional(f"{number}.norm_again"),
        )

    def _present(self, name: str) -> Tensor:
        found = self.read(name)
        assert found is not None, name  # noqa: S101 - the layout has checked the names
        return found

    def _norm(self, name: str) -> Norm:
        return Norm(self._present(f"{name}.weight"), self._present(f"{name}.bias"), self.config.norm_eps)

    def _optional(self, name: str) -> Norm | None:
        return None if self.read(f"{name}.weight") is None else self._norm(name)


def each(change: Callable[[Plain], Product]) -> Callable[[Encoder, Layer], Layer]:
    """A conversion that applies `change` to every linear layer, one after the other."""
    return lambda _, layer: _with(layer, lambda linear, stored: Linear(change(stored.read()), linear.loras))


def _merged(layer: Layer, adapter: str) -> Layer:
    """The layer, with the adapter's terms added to its weights when they are read."""

    def add(linear: Linear, stored: Stored) -> Linear:
        lora = linear.loras.get(adapter)

        def read() -> Plain:
            plain = stored.read()
            if lora is None:
                return plain
            weight = plain.weight.float().addmm(lora.b.float(), lora.a.float()).to(plain.weight.dtype)
            return Plain(weight, plain.bias)

        return Linear(Stored(read))

    return _with(layer, add)


def _with(layer: Layer, change: Callable[[Linear, Stored], Linear]) -> Layer:
    """The layer, with `change` applied to each linear layer that is still stored."""
    parts = {item.name: getattr(layer, item.name) for item in fields(layer)}
    changed = {
        name: change(part, part.product)
        for name, part in parts.items()
        if isinstance(part, Linear) and isinstance(part.product, Stored)
    }
    return replace(layer, **changed)  # type: ignore[arg-type]


def _half(both: Linear, half: Literal[0, 1]) -> Linear:
    """One half of a gated projection. Gated projections have neither bias nor adapters."""
    stored = both.product
    assert isinstance(stored, Stored)  # noqa: S101 - it was just made
    return Linear(Stored(lambda: Plain(stored.read().weight.chunk(2)[half].clone())))  # a copy frees the other half
