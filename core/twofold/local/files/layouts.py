"""Layouts: how each family names its tensors.

A layout maps the encoder's names (the fields of `Embedding` and `Layer`) to the names in the files. `{i}` stands for
the layer's number. If several names are listed, their tensors are stacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twofold.local.encoder import Positions


@dataclass(frozen=True)
class Layout:
    """One family's names. `mark` is a tensor that this layout has and none of the layouts listed after it."""

    family: str
    mark: str
    tables: Mapping[str, str]
    parts: Mapping[str, tuple[str, ...]]
    layer: str
    gate: Literal["first", "second"] | None = None
    positions: Positions = "learned"

    def sources(self, layers: int) -> dict[str, tuple[str, ...]]:
        """The encoder's name of each tensor -> the checkpoint's tensors to stack for it."""
        named: dict[str, tuple[str, ...]] = {name: (source,) for name, source in self.tables.items()}
        for part, modules in self.parts.items():
            kinds = ("weight",) if part == "up" and self.gate else ("weight", "bias")
            for i, kind in product((None,) if part == "norm" else range(layers), kinds):
                inside = "" if i is None else self.layer.format(i=i)
                named[part_name(part, i, kind)] = tuple(f"{inside}{module}.{kind}" for module in modules)
        return named

    def modules(self, layers: int) -> dict[str, tuple[str, ...]]:
        """The encoder's name of each linear layer and table -> the checkpoint's modules to stack for it."""
        return {
            name.removesuffix(".weight"): tuple(source.removesuffix(".weight") for source in sources)
            for name, sources in self.sources(layers).items()
            if name in self.tables or name.endswith(".weight")
        }


def part_name(part: str, layer: int | None, kind: str = "") -> str:
    """The encoder's name of a part of a layer, or of the whole model: `3.qkv.weight`, `norm.bias`."""
    return ".".join(str(word) for word in (layer, part, kind) if word not in {None, ""})


def _pairs(**names: str) -> dict[str, tuple[str, ...]]:
    return {name: tuple(value.split()) for name, value in names.items()}


_BERT_TABLES = {
    "word": "embeddings.word_embeddings.weight",
    "kind": "embeddings.token_type_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
}
_UNPLACED_TABLES = {name: source for name, source in _BERT_TABLES.items() if name != "position"}
_BERT_ATTENTION = {
    "qkv": "attention.self.query attention.self.key attention.self.value",
    "out": "attention.output.dense",
    "norm_attention": "attention.output.LayerNorm",
}

LAYOUTS = (
    Layout(
        "jina-v2-post-norm",
        mark="encoder.layer.0.mlp.up_gated_layer.weight",
        tables=_UNPLACED_TABLES,
        parts=_pairs(
            norm="embeddings.LayerNorm",
            **_BERT_ATTENTION,
            q_norm="attention.self.layer_norm_q",
            k_norm="attention.self.layer_norm_k",
            norm_again="layer_norm_1",
            up="mlp.up_gated_layer",
            down="mlp.down_layer",
            norm_mlp="layer_norm_2",
        ),
        layer="encoder.layer.{i}.",
        gate="second",
        positions="alibi",
    ),
    Layout(
        "jina-v2",
        mark="encoder.layer.0.mlp.gated_layers.weight",
        tables=_UNPLACED_TABLES,
        parts=_pairs(
            norm="embeddings.LayerNorm",
            **_BERT_ATTENTION,
            up="mlp.gated_layers",
            down="mlp.wo",
            norm_mlp="mlp.layernorm",
        ),
        layer="encoder.layer.{i}.",
        gate="first",
        positions="alibi",
    ),
    Layout(
        "jina-v3",
        mark="encoder.layers.0.mixer.Wqkv.bias",
        tables=_UNPLACED_TABLES,
        parts=_pairs(
            norm="emb_ln",
            qkv="mixer.Wqkv",
            out="mixer.out_proj",
            norm_attention="norm1",
            up="mlp.fc1",
            down="mlp.fc2",
            norm_mlp="norm2",
        ),
        layer="encoder.layers.{i}.",
        positions="rotary",
    ),
    Layout(
        "jina-v3-hf",
        mark="layers.0.post_mlp_layernorm.weight",
        tables=_UNPLACED_TABLES,
        parts=_pairs(
            norm="embeddings.LayerNorm",
            qkv="self_attn.q_proj self_attn.k_proj self_attn.v_proj",
            out="self_attn.o_proj",
            norm_attention="post_attention_layernorm",
            up="mlp.fc1",
            down="mlp.fc2",
            norm_mlp="post_mlp_layernorm",
        ),
        layer="layers.{i}.",
        positions="rotary",
    ),
    Layout(
        "bert",
        mark="encoder.layer.0.attention.self.query.weight",
        tables=_BERT_TABLES,
        parts=_pairs(
            norm="embeddings.LayerNorm",
            **_BERT_ATTENTION,
            up="intermediate.dense",
            down="output.dense",
            norm_mlp="output.LayerNorm",
        ),
        layer="encoder.layer.{i}.",
    ),
)
ROTARY = tuple(layout for layout in LAYOUTS if layout.positions == "rotary")
"""Both layouts of Jina v3. Adapter folders may use the names of either."""
