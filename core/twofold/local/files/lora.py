"""LoRA adapters, one per task, in both published forms. Their scale is folded into b.

The scale is alpha / rank, from the LoRA paper, arXiv 2106.09685.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from twofold.cards import JINA_V3
from twofold.errors import ModelError
from twofold.local.encoder import Lora
from twofold.local.files import layouts, weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from twofold.local.encoder import EncoderConfig
    from twofold.local.files.layouts import Layout
    from twofold.local.files.recognise import Plan
    from twofold.local.files.weights import TensorInfo

TASKS = tuple(task.name for task in JINA_V3.tasks if task.name)
TABLES = frozenset({"word", "kind"})
ADAPTER_CONFIG = "adapter_config.json"


def stacked_names(plan: Plan, config: Mapping[str, Any], tensors: Mapping[str, TensorInfo]) -> tuple[str, ...]:
    """The tasks of stacked adapters, in the order of the stack: those in the config, or else the published ones.

    Raises:
        ModelError: a stack does not have one adapter per task.
    """
    stated = config.get("lora_adaptations") or TASKS
    names = tuple(map(str, stated)) if isinstance(stated, list | tuple) else ()
    for halves in plan.stacked.values():
        for name in halves.values():
            if len(shape := tensors[name].shape) != 3 or shape[0] != len(names):
                raise ModelError(f"its tensor {name} has the shape {shape}, not a stack of {len(names)} adapters")
    return names


def stacked_loras(
    plan: Plan, config: Mapping[str, Any], names: Sequence[str], read: Callable[[str], torch.Tensor]
) -> dict[str, dict[str, Lora]]:
    """Adapters of the original layout: each module has (tasks, …) tensors. For tables, A and B are transposed."""
    found: dict[str, dict[str, Lora]] = {name: {} for name in names}
    for part, (module, *_) in plan.layout.modules(plan.config.layers).items():
        if module not in plan.stacked:
            continue
        a, b = (read(plan.stacked[module][half]).float() for half in ("lora_A", "lora_B"))
        scale = float(config.get("lora_alpha") or 1) / (a.shape[-1] if part in TABLES else a.shape[1])
        for number, name in enumerate(names):
            found[name][part] = Lora(a[number], (b[number].T if part in TABLES else b[number]) * scale)
            _check_fit(module, found[name][part], part, plan.config)
    return found


def _check_fit(module: str, term: Lora, part: str, config: EncoderConfig, share: int = 1) -> None:
    """Raise if a term does not fit its weight. `share` is the number of modules stacked in that weight."""
    width, inner = config.width, config.inner
    outputs, inputs = {
        "word": (width, config.vocabulary),
        "qkv": (3 * width, width),
        "up": (inner * (2 if config.gate else 1), width),
        "down": (width, inner),
    }.get(part.rpartition(".")[2], (width, width))
    a, b = (term.a.T if part in TABLES else term.a).shape, term.b.shape
    inputs = a[-1] if part == "kind" else inputs
    if len(a) != 2 or (a[1], b) != (inputs, (outputs // share, a[0])):
        raise ModelError(
            f"the adapter of {module} has the shapes {tuple(a)} and {tuple(b)}, which do not fit its weight"
        )


def adapter_folders(folder: Path) -> dict[str, Path]:
    """Task -> its PEFT folder, in the published order. Published folders write task names with underscores."""
    spelt = {name.replace(".", "_").replace("-", "_"): name for name in TASKS}
    found = {spelt.get(file.parent.name, file.parent.name): file.parent for file in folder.glob(f"*/{ADAPTER_CONFIG}")}
    return {name: found[name] for name in sorted(found, key=lambda name: (*TASKS, name).index(name))}


class PeftAdapter:
    """An adapter folder saved by PEFT, with module names of either layout of Jina v3. No weight is read yet.

    Raises:
        ModelError: it is not a plain LoRA adapter, or its tensors or its scale are missing.
    """

    def __init__(self, folder: Path) -> None:
        config = weights.read_json(folder / ADAPTER_CONFIG)
        for key in ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern"):
            if config.get(key):
                raise ModelError(f"{folder} is not a plain LoRA adapter: it has {key}")
        if config.get("peft_type") != "LORA":
            raise ModelError(f"{folder} is not a plain LoRA adapter: peft_type is {config.get('peft_type')!r}")
        alpha, rank = config.get("lora_alpha"), config.get("r")
        if not isinstance(alpha, int | float) or not isinstance(rank, int) or rank < 1:
            raise ModelError(f"{folder} does not state its scale: lora_alpha is {alpha!r}, r is {rank!r}")
        self.folder = folder
        self.scale = alpha / rank
        self.tensors = weights.read_header(folder / weights.ADAPTER_FILE)

    def loras(self, config: EncoderConfig) -> dict[str, Lora]:
        """Its terms by the encoder's names.

        Raises:
            ModelError: a tensor belongs to no module of the encoder, has a wrong shape, or lacks its other half.
        """
        names = {name.removeprefix("base_model.model."): name for name in self.tensors if "pooler." not in name}
        found: dict[str, Lora] = {}
        for part, modules in self._layout(config.layers, names).modules(config.layers).items():
            terms = [self._term(names, module, part) for module in modules]
            if present := [term for term in terms if term is not None]:
                for module, term in zip(modules, terms, strict=True):
                    if term is not None:
                        _check_fit(f"{module} in {self.folder}", term, part, config, len(modules))
                nothing = torch.empty(present[0].b.shape[0], 0)
                b = [nothing if term is None else term.b for term in terms]
                joined = b[0] if len(b) == 1 else torch.block_diag(*b)  # type: ignore[no-untyped-call]
                found[part] = Lora(torch.cat([term.a for term in present]), joined * self.scale)
        if names:
            listed = ", ".join(sorted(names)[:5])
            raise ModelError(f"{self.folder} has adapter tensors of modules that the encoder lacks: {listed}")
        return found

    def _layout(self, layers: int, names: Mapping[str, str]) -> Layout:
        """The layout that shares the most module names with the adapter."""
        modules = {name.rpartition(".lora_")[0] for name in names}

        def shared(layout: Layout) -> int:
            return len(modules & {module for stack in layout.modules(layers).values() for module in stack})

        return max(layouts.ROTARY, key=shared)

    def _term(self, names: dict[str, str], module: str, part: str) -> Lora | None:
        """Remove one module's pair from `names` and return it. None if the adapter does not change the module."""
        form = "lora_embedding_{}" if part in TABLES else "lora_{}.weight"
        first, second = (names.pop(f"{module}.{form.format(half)}", None) for half in "AB")
        if first is None and second is None:
            return None
        if first is None or second is None:
            raise ModelError(f"{self.folder} lacks the other half of {first or second}")
        a, b = (weights.read_tensor(self.tensors[name], name).float() for name in (first, second))
        return Lora(a.T.contiguous() if part in TABLES else a, b)
