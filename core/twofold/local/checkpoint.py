"""A checkpoint: a folder or a hub id, recognised by its tensors, made into an encoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from twofold.errors import ModelError
from twofold.local import layouts, weights
from twofold.local.card import OwnFiles, derive
from twofold.local.encoder import Lora, build
from twofold.models import JINA_V3

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twofold.local.encoder import Encoder
    from twofold.local.layouts import Plan
    from twofold.local.weights import TensorInfo
    from twofold.models import ModelCard

ADAPTER_FILE = "adapter_model.safetensors"
NEEDED = ("*.json", "*.safetensors", "*.txt", "README.md")
NOT_NEEDED = ("onnx/*", "openvino/*", "coreml/*", "gguf/*")


def locate(model: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint: itself, or a hub id's snapshot, fetched where the cache lacks it.

    The hub's library honours its own cache, offline mode and token.

    Raises:
        ModelError: neither a folder nor a hub id that can be had.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith((".", "~")) or model.count("/") > 1:
        raise ModelError(f"there is no folder {model}")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - not for folders
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(
            snapshot_download(model, revision=revision, allow_patterns=[*NEEDED], ignore_patterns=[*NOT_NEEDED])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{model} is no folder, and as a hub id it could not be fetched: {reason}. "
            "Give the path of a checkpoint folder, or check the id, the network and, for a gated model, HF_TOKEN"
        ) from error


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint's folder, what its files say, and how its tensors become an encoder; no weight is read yet.

    `plan` is None where the encoder does not know the family, or the files ask for more than it does.
    """

    folder: Path
    files: OwnFiles
    tensors: Mapping[str, TensorInfo]
    plan: Plan | None
    adapters: Mapping[str, Path]

    @classmethod
    def read(cls, folder: Path) -> Checkpoint:
        """Read the headers and the small files of a checkpoint.

        Raises:
            ModelError: no weights, a truncated or corrupt file, missing or unexpected tensors.
        """
        files = OwnFiles.read(folder)
        if not files.native:
            return cls(folder, files, {}, None, {})
        tensors = weights.read_headers(weights.weight_files(folder))
        shapes = {name: info.shape for name, info in tensors.items()}
        plan = layouts.plan(shapes, files.config)
        adapters = _adapter_folders(folder) if plan is not None and plan.layout.positions == "rotary" else {}
        return cls(folder, files, tensors, plan, adapters)

    @cached_property
    def card(self) -> ModelCard:
        """What the model is."""
        assert self.plan is not None  # noqa: S101 - asked for native checkpoints alone
        return derive(self.files, self.plan.config, self.adapter_names)

    @property
    def adapter_names(self) -> tuple[str, ...]:
        """The tasks that have an adapter, in the order of a stacked layout or of the published list."""
        assert self.plan is not None  # noqa: S101
        if self.plan.stacked:
            own = self.files.config.get("lora_adaptations")
            return tuple(own or (task.name for task in JINA_V3.tasks if task.name))
        return tuple(self.adapters)

    @cached_property
    def digest(self) -> str:
        """A digest of all that was loaded as weights."""
        adapters = [folder / ADAPTER_FILE for folder in self.adapters.values()]
        return weights.digest([*weights.weight_files(self.folder), *adapters])

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """What tells these files from others without reading them: their places, sizes and times."""
        paths = [info.file for info in self.tensors.values()]
        files = sorted({*paths, *(folder / ADAPTER_FILE for folder in self.adapters.values())})
        return tuple((file.resolve(), file.stat().st_size, file.stat().st_mtime_ns) for file in files)

    def load(self, device: torch.device, dtype: torch.dtype, *, int8: bool = False) -> Encoder:
        """Read the weights, one tensor at a time, and build the encoder.

        Tensors that are stored as they are held stay mapped from the file; others are copied one by one, so that the
        peak is what is held and one tensor more.
        """
        assert self.plan is not None  # noqa: S101
        tensors: dict[str, torch.Tensor] = {}
        for name, sources in self.plan.sources.items():
            parts = [self._read(source).to(device, dtype) for source in sources]
            tensor = parts[0] if len(parts) == 1 else torch.cat(parts)
            if int8 and name.endswith(LINEAR_WEIGHTS):
                tensors[name], tensors[name.replace("weight", "scale")] = quantize(tensor)
            else:
                tensors[name] = tensor
        loras = self._stacked_loras() if self.plan.stacked else self._folder_loras()
        moved = {
            adapter: {part: Lora(term.a.to(device, dtype), term.b.to(device, dtype)) for part, term in terms.items()}
            for adapter, terms in loras.items()
        }
        return build(self.plan.config, tensors, moved)

    def _read(self, name: str) -> torch.Tensor:
        return weights.read_tensor(self.tensors[name], name)

    def _stacked_loras(self) -> dict[str, dict[str, Lora]]:
        """The original layout: (tasks, …) tensors in each module; a table's A and B are the other way round.

        Source of the scale: alpha / rank, as in the LoRA paper (arXiv 2106.09685).
        """
        assert self.plan is not None  # noqa: S101
        config = self.files.config
        found: dict[str, dict[str, Lora]] = {name: {} for name in self.adapter_names}
        for part, (module, *_) in self.plan.layout.modules(self.plan.config.layers).items():
            if module not in self.plan.stacked:
                continue
            a, b = (self._read(self.plan.stacked[module][name]).float() for name in ("lora_A", "lora_B"))
            table = part in {"word", "kind"}
            rank = a.shape[-1] if table else a.shape[1]
            scale = float(config.get("lora_alpha", 1)) / rank
            for number, name in enumerate(self.adapter_names):
                found[name][part] = Lora(a[number], (b[number].T if table else b[number]) * scale)
        return found

    def _folder_loras(self) -> dict[str, dict[str, Lora]]:
        """PEFT adapter folders, one a task, with separate terms for queries, keys and values."""
        assert self.plan is not None  # noqa: S101
        return {name: _peft_loras(folder, self.plan.config.layers) for name, folder in self.adapters.items()}


LINEAR_WEIGHTS = (".qkv.weight", ".out.weight", ".up.weight", ".down.weight")


def quantize(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """An int8 weight and one scale for each of its rows: weight is about int8 x scale[:, None]."""
    scale = weight.float().abs().amax(dim=1).clamp_min(1e-12) / 127
    return (weight.float() / scale[:, None]).round().to(torch.int8), scale.to(weight.dtype)


def _adapter_folders(folder: Path) -> dict[str, Path]:
    """Task -> its PEFT folder; the published folders spell tasks with underscores."""
    spelt = {task.name.replace(".", "_").replace("-", "_"): task.name for task in JINA_V3.tasks if task.name}
    found = {
        spelt.get(file.parent.name, file.parent.name): file.parent for file in folder.glob("*/adapter_config.json")
    }
    order = [task.name for task in JINA_V3.tasks]
    return dict(sorted(found.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order)))


def _peft_loras(folder: Path, layers: int) -> dict[str, Lora]:
    """One adapter as PEFT saves it, its modules named as in either published layout.

    Raises:
        ModelError: it is of another kind than plain LoRA, or has tensors of modules that the encoder lacks.
    """
    config = weights.read_json(folder / "adapter_config.json")
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("use_rslora"):
        raise ModelError(f"{folder} is not a plain LoRA adapter: peft_type is {config.get('peft_type')!r}")
    scale = float(config["lora_alpha"]) / int(config["r"])
    infos = weights.read_header(folder / ADAPTER_FILE)
    names = {name.removeprefix("base_model.model."): name for name in infos if "pooler." not in name}
    layout = next(
        (layout for layout in layouts.ROTARY if f"{layout.modules(layers)['0.out'][0]}.lora_A.weight" in names), None
    )
    read: set[str] = set()

    def pair(module: str, kind: str) -> tuple[torch.Tensor, torch.Tensor]:
        halves = [names[f"{module}.{kind.format(half)}"] for half in "AB"]
        read.update(halves)
        return weights.read_tensor(infos[halves[0]], halves[0]).float(), weights.read_tensor(
            infos[halves[1]], halves[1]
        ).float()

    found: dict[str, Lora] = {}
    for part, modules in (layout.modules(layers) if layout else {}).items():
        if f"{modules[0]}.lora_embedding_A" in names:
            a, b = pair(modules[0], "lora_embedding_{}")
            found[part] = Lora(a.T.contiguous(), b * scale)
        elif f"{modules[0]}.lora_A.weight" in names:
            halves = [pair(module, "lora_{}.weight") for module in modules]
            b = torch.block_diag(*(b for _, b in halves))  # type: ignore[no-untyped-call]
            found[part] = Lora(torch.cat([a for a, _ in halves]), b * scale)
    if unknown := sorted(set(names.values()) - read):
        raise ModelError(f"{folder} has adapter tensors of modules that the encoder lacks: {', '.join(unknown[:5])}")
    return found
