"""A checkpoint folder: recognises its family by its tensors and builds an encoder from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from twofold.errors import ModelError
from twofold.local.building import Builder, each
from twofold.local.calibration import Calibrator
from twofold.local.encoder import Lora
from twofold.local.files import recognise, weights
from twofold.local.files.card import OwnFiles, derive, reads_lower, tokenizer_file
from twofold.local.files.lora import ADAPTER_CONFIG, PeftAdapter, adapter_folders, stacked_loras, stacked_names
from twofold.local.files.recognise import UnknownFamily
from twofold.local.files.refusals import WRITTEN_FROM_CODE, check_adapters, own_code
from twofold.local.int8 import Int8Weight, largest, quantize_blocks
from twofold.local.kernels import Packed, packing_works

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from twofold.local.building import Finish
    from twofold.local.calibration import Samples
    from twofold.local.encoder import Encoder
    from twofold.local.files.recognise import Plan
    from twofold.local.files.weights import TensorInfo
    from twofold.models import ModelCard

TABLE_ROWS = 4096
"""The number of rows of the word table that are quantised at once."""
DECIDING = ("config.json", "tokenizer.json", "vocab.txt")
"""Small files that affect the loaded model, in addition to the weights."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint's folder, the content of its small files, and the plan for its tensors. No weight is read yet.

    Attributes:
        folder: its path.
        files: the content of its small files.
        tensors: the tensors in its weight files.
        plan: how the tensors become an encoder.
        adapter_names: the tasks that have an adapter, in the published order or in the order of the stack.
        adapters: the adapters in separate PEFT folders.
    """

    folder: Path
    files: OwnFiles
    tensors: Mapping[str, TensorInfo]
    plan: Plan
    adapter_names: tuple[str, ...]
    adapters: Mapping[str, PeftAdapter]

    @classmethod
    def read(cls, folder: Path, hub_id: str | None = None) -> Checkpoint:
        """Read the headers and the small files of a checkpoint. `hub_id` is the id that it was opened by, if any.

        Raises:
            ModelError: no weights, a truncated or corrupt file, missing or unexpected tensors.
            UnknownFamily: the encoder does not support it.
        """
        files = OwnFiles.read(folder, hub_id)
        if files.foreign is not None:
            raise UnknownFamily(files.foreign)
        tensors = weights.read_headers(weights.weight_files(folder))
        try:
            return cls._recognise(folder, files, tensors)
        except UnknownFamily:
            raise
        except ModelError as error:
            raise ModelError(f"{hub_id or folder} cannot be used: {error}") from None

    @classmethod
    def _recognise(cls, folder: Path, files: OwnFiles, tensors: Mapping[str, TensorInfo]) -> Checkpoint:
        plan = recognise.plan({name: info.shape for name, info in tensors.items()}, files.config)
        if plan is None:
            raise UnknownFamily(f"its model_type is {files.config.get('model_type')!r}")
        if not plan.layout.family.startswith(WRITTEN_FROM_CODE) and (code := own_code(folder)):
            raise UnknownFamily(f"it has its own code ({next(iter(code.values()))})")
        for name in (name for names in plan.sources.values() for name in names):
            if tensors[name].dtype not in weights.FLOATS:
                raise ModelError(f"its tensor {name} has type {tensors[name].dtype}: the encoder needs floats")
        if plan.stacked:
            check_adapters(folder, files, files.hub_id or str(folder))
            return cls(folder, files, tensors, plan, stacked_names(plan, files.config, tensors), {})
        folders = adapter_folders(folder) if plan.layout.positions == "rotary" else {}
        check_adapters(folder, files, files.hub_id or str(folder), folders.values())
        adapters = {name: PeftAdapter(where) for name, where in folders.items()}
        return cls(folder, files, tensors, plan, tuple(adapters), adapters)

    @cached_property
    def card(self) -> ModelCard:
        return derive(self.files, self.plan.config, self.adapter_names)

    @cached_property
    def digest(self) -> str:
        """A digest of everything that affects the vectors: weights, adapters, the encoder's shape, the tokenizer."""
        adapted = {
            f"{task}/{name}": info for task, adapter in self.adapters.items() for name, info in adapter.tensors.items()
        }
        shape = asdict(self.plan.config)
        del shape["max_positions"]  # a limit, which does not change the vectors
        scales = {task: adapter.scale for task, adapter in self.adapters.items()}
        alpha = self.files.config.get("lora_alpha") if self.plan.stacked else 1
        tokenizer = [weights.file_digest(tokenizer_file(self.folder))]
        tokenizer += ["lower case"] if reads_lower(self.folder) else []
        return weights.digest({**self.tensors, **adapted}, [shape, scales, alpha, *tokenizer])

    @cached_property
    def signature(self) -> tuple[object, ...]:
        """Identifies the files without reading them: their paths, sizes and modification times."""
        files = {info.file for info in self.tensors.values()} | {self.folder / name for name in DECIDING}
        for adapter in self.adapters.values():
            files |= {adapter.folder / name for name in (weights.ADAPTER_FILE, ADAPTER_CONFIG)}
        there = sorted(file.resolve() for file in files if file.exists())
        return tuple((file, file.stat().st_size, file.stat().st_mtime_ns) for file in there)

    def load(
        self,
        device: torch.device,
        dtype: torch.dtype,
        *,
        int8: bool = False,
        samples: Samples = (),
        merge: Collection[str] = (),
    ) -> Encoder:
        """Read the weights, one at a time, and build the encoder.

        `samples` calibrate int8. For each adapter in `merge`, a copy of the layers is built with the adapter in its
        weights, and the bare layers are read only when a task needs them.

        On a CPU, the weights of products are packed for its kernels one after the other. Other tensors stay mapped from
        the file if they are stored in the requested dtype. Peak memory is the loaded model plus one weight, and for
        int8 also the activations of the samples in one layer.

        Raises:
            ModelError: an adapter has tensors that do not fit, or a file changed after its header was read.
        """

        def finish(adapter: str | None) -> tuple[Finish, torch.dtype]:
            own = samples if adapter is None else [(adapter, batch) for _, batch in samples]
            return _finish(device, dtype, int8=int8, samples=own)

        _, stream = finish(None)
        moved = {
            adapter: {part: Lora(term.a.to(device, stream), term.b.to(device, stream)) for part, term in terms.items()}
            for adapter, terms in self._loras()
        }

        table = dict(zip(("word", "word.scale"), self._table(device, stream), strict=True)) if int8 else {}

        def read(name: str) -> torch.Tensor | None:
            if name in table:
                return table[name]
            sources = self.plan.sources.get(name)
            return None if sources is None else self._stacked(sources, device, stream)

        return Builder(self.plan.config, read, moved, lambda adapter: finish(adapter)[0]).encoder(dtype, merge)

    def _table(self, device: torch.device, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
        """The word table in int8, with one scale per word."""
        (source,) = self.plan.sources["word"]
        info = self.tensors[source]
        values, scale = quantize_blocks(weights.read_blocks(info, source, TABLE_ROWS), info.shape)
        return values.to(device), scale[:, None].to(device, dtype)

    def _stacked(self, sources: Sequence[str], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        """One tensor, or several stacked. Each of several is copied into place, so that none is in memory twice."""
        if len(sources) == 1:
            return self._read(sources[0]).to(device, dtype)
        rows = [self.tensors[source].shape[0] for source in sources]
        whole = torch.empty((sum(rows), *self.tensors[sources[0]].shape[1:]), device=device, dtype=dtype)
        for part, source in zip(torch.split(whole, rows), sources, strict=True):
            part.copy_(self._read(source))
        return whole

    def _read(self, name: str) -> torch.Tensor:
        return weights.read_tensor(self.tensors[name], name)

    def _loras(self) -> Iterator[tuple[str, dict[str, Lora]]]:
        """Each adapter with its terms, by the encoder's names."""
        if self.plan.stacked:
            yield from stacked_loras(self.plan, self.files.config, self.adapter_names, self._read).items()
        for name, adapter in self.adapters.items():
            yield name, adapter.loras(self.plan.config)


def _finish(device: torch.device, dtype: torch.dtype, *, int8: bool, samples: Samples) -> tuple[Finish, torch.dtype]:
    """The conversion of a layer, and the dtype to read it in, which is also the dtype of the hidden states."""
    if int8 and samples and device.type == "cpu" and (limit := largest()) is not None:
        return Calibrator(samples, dtype, limit), torch.float32
    if int8:
        return each(Int8Weight.of), dtype
    if device.type == "cpu" and packing_works(dtype):
        return each(Packed.of), dtype
    return each(lambda plain: plain), dtype
