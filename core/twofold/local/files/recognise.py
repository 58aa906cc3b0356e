"""Maps the tensors of a checkpoint to the parts of the encoder, by their names and shapes only.

A tensor that is neither part of the layout nor known to be unused is an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from twofold.errors import ModelError
from twofold.local.encoder import EncoderConfig
from twofold.local.files.layouts import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from twofold.local.files.layouts import Layout

V3_ROTARY_BASE = 20_000.0
"""Jina v3's base at inference (arXiv 2409.10173, section 3), for configs that do not state it."""
UNUSED = (r"embeddings\.(position|token_type)_ids", r"pooler\.", r"cls\.", r"lm_head\.", r"classifier\.")
"""Tensors that the encoder does not need: index buffers, poolers, heads for training or language modelling."""
BERT_LIKE = {"bert": 0, "roberta": 1, "xlm-roberta": 1, "camembert": 1}
"""Model types with BERT's tensor names -> whether learned positions start after the padding id, as in RoBERTa."""

_RENAMES = ((".parametrizations.weight.original", ".weight"), (".gamma", ".weight"), (".beta", ".bias"))
_STACKED_LORA = re.compile(r"(.+)\.parametrizations\.weight\.0\.(lora_[AB])")


class UnknownFamily(ModelError):
    """The checkpoint needs something that the encoder does not support. The message says what."""


@dataclass(frozen=True)
class Plan:
    """How a checkpoint becomes an encoder.

    Attributes:
        layout: the names of its family.
        config: the encoder's shape, taken from the tensors' shapes as far as possible.
        sources: the encoder's name of each tensor -> the checkpoint's tensors to stack.
        stacked: module name -> its stacked LoRA tensors, `lora_A` and `lora_B` (the original layout of Jina v3).
    """

    layout: Layout
    config: EncoderConfig
    sources: Mapping[str, tuple[str, ...]]
    stacked: Mapping[str, Mapping[str, str]]


def plan(shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> Plan | None:
    """Recognise a checkpoint by its tensors' names. Returns None if the encoder does not support its family.

    Args:
        shapes: the name of each tensor -> its shape.
        config: the checkpoint's `config.json`, for what the tensors do not show: heads, epsilon, rotary base.

    Raises:
        ModelError: the family is supported, but tensors are missing, unexpected or have a wrong shape, or the config
            lacks a required value.
        UnknownFamily: the encoder does not support the activation.
    """
    plain, stacked = _plain_names(shapes)
    found = _recognise(plain)
    if found is None:
        return None
    layout, prefix = found
    if layout.family == "bert" and _model_type(config, prefix) not in BERT_LIKE:
        return None
    own = {name.removeprefix(prefix): full for name, full in plain.items()}
    loras = {module.removeprefix(prefix): parts for module, parts in stacked.items()}
    layers = _layers(layout, own, config)
    sources = layout.sources(layers)
    adapted = _adapted(layout, layers) if loras else set()
    has = {f"{module}.{half}" for module, halves in loras.items() for half in halves}
    _check_names({*own, *has}, {name for names in sources.values() for name in names} | adapted)
    full = {name: tuple(own[source] for source in names) for name, names in sources.items()}
    shape = _config(layout, layers, config, {name: shapes[names[0]] for name, names in full.items()}, prefix)
    _check_shapes(shape, full, shapes)
    return Plan(layout, shape, full, loras)


def _model_type(config: Mapping[str, Any], prefix: str) -> str:
    """The model type. BERT and RoBERTa have the same tensors but number positions differently, so it must be known.

    Raises:
        ModelError: neither the config nor the tensors' prefix states it.
    """
    stated = config.get("model_type") or {"bert.": "bert", "roberta.": "roberta"}.get(prefix)
    if stated is None:
        raise ModelError("its config.json does not state model_type, so it could be BERT or RoBERTa")
    return str(stated)


def _layers(layout: Layout, own: Iterable[str], config: Mapping[str, Any]) -> int:
    """The number of layers in the config, so that missing layers are noticed. Without it, the number in the files."""
    there = {match[1] for name in own if (match := re.match(_numbered(layout.layer), name))}
    stated = _number(config, "num_hidden_layers", int, len(there))
    return max(1, min(int(stated), len(there) + 1))


def _number(config: Mapping[str, Any], key: str, kind: type[float], default: float | None = None) -> Any:
    value = config.get(key)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ModelError(f"its config.json does not state {key} as a number: {value!r}")
    return kind(value)


def _adapted(layout: Layout, layers: int) -> set[str]:
    """The LoRA tensors of v3's original layout: it adapts all linear layers and tables, but not the norms."""
    modules = [module for part, (module, *_) in layout.modules(layers).items() if "norm" not in part]
    return {f"{module}.lora_{half}" for module, half in product(modules, "AB")}


def _plain_names(names: Iterable[str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Separate stacked LoRA tensors from the others, and restore the names that wrappers changed in the others."""
    plain: dict[str, str] = {}
    stacked: dict[str, dict[str, str]] = {}
    for name in names:
        if match := _STACKED_LORA.fullmatch(name):
            stacked.setdefault(match[1], {})[match[2]] = name
            continue
        short = name
        for old, new in _RENAMES:
            short = short.removesuffix(old) + new if short.endswith(old) else short
        plain[short] = name
    return plain, stacked


def _recognise(names: Collection[str]) -> tuple[Layout, str] | None:
    for layout in LAYOUTS:
        for name in names:
            if name == layout.mark or name.endswith("." + layout.mark):
                return layout, name.removesuffix(layout.mark)
    return None


def _numbered(layer: str) -> str:
    return re.escape(layer).replace(re.escape("{i}"), r"(\d+)")


def _check_names(own: Collection[str], wanted: set[str]) -> None:
    missing = sorted(wanted - set(own))
    unexpected = sorted(name for name in set(own) - wanted if not any(re.match(pattern, name) for pattern in UNUSED))
    for names, what in ((missing, "lacks"), (unexpected, "has unexpected")):
        if names:
            listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
            raise ModelError(f"it {what} tensors: {listed}. Its vectors would be wrong, so Twofold does not load it")


def _check_shapes(
    config: EncoderConfig, sources: Mapping[str, tuple[str, ...]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise if a tensor's shape does not fit the encoder's shape. The message names the tensor."""
    width, inner = config.width, config.inner
    up = inner * (2 if config.gate else 1)
    wanted = {"qkv.weight": (width, width), "qkv.bias": (width,), "out.weight": (width, width)}
    wanted |= {"up.weight": (up, width), "up.bias": (up,), "down.weight": (width, inner)}
    tables = {"word": config.vocabulary, "position": config.max_positions + config.first_position}
    for name, names in sources.items():
        part = name.partition(".")[2] if name[0].isdigit() else name
        want: tuple[int, ...]
        if name in {"word", "kind", "position"}:
            want = (tables.get(name, shapes[names[0]][0]), width)
        else:
            want = wanted.get(part, (width,))
        want = (3 * width, *want[1:]) if part.startswith("qkv") and len(names) == 1 else want
        for source in names:
            if shapes[source] != want:
                raise ModelError(f"its tensor {source} has the shape {shapes[source]}, where {want} was expected")


def _config(
    layout: Layout, layers: int, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], prefix: str
) -> EncoderConfig:
    activation = config.get("hidden_act", "gelu")
    if activation != "gelu":
        raise UnknownFamily(f"its activation is {activation!r}")
    for name in ("word", "kind", "position", "0.down.weight"):
        if name in shapes and len(shapes[name]) != 2:
            raise ModelError(f"its {name} weights are not a matrix: their shape is {shapes[name]}")
    vocabulary, width = shapes["word"]
    heads = _number(config, "num_attention_heads", int)
    if heads < 1 or width % heads:
        raise ModelError(f"its config.json states {heads} attention heads, which do not divide its width of {width}")
    first = _first_position(config, prefix) if layout.positions == "learned" else 0
    rope = config.get("rope_parameters")
    base = rope.get("rope_theta") if isinstance(rope, dict) else None
    return EncoderConfig(
        family=layout.family,
        width=width,
        layers=layers,
        heads=heads,
        inner=shapes["0.down.weight"][1],
        vocabulary=vocabulary,
        norm_eps=_number(config, "layer_norm_eps", float, 1e-12),
        positions=layout.positions,
        max_positions=_max_positions(layout, config, shapes, first),
        first_position=first,
        rotary_base=float(base or _number(config, "rotary_emb_base", float, V3_ROTARY_BASE)),
        gate=layout.gate,
    )


def _first_position(config: Mapping[str, Any], prefix: str) -> int:
    """The first token's row in the table of positions. For RoBERTa it is the row after the padding id's."""
    if not BERT_LIKE[_model_type(config, prefix)]:
        return 0
    return 1 + int(_number(config, "pad_token_id", int, 1))


def _max_positions(layout: Layout, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], first: int) -> int:
    if layout.positions == "learned":
        return shapes["position"][0] - first
    stated = int(_number(config, "max_position_embeddings", int, 8192))
    return stated - 2 if layout.positions == "rotary" else stated  # v3 keeps RoBERTa's two spare positions
