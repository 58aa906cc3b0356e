"""The local backend: device and dtype, weights shared by the process, the loop over batches."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import TYPE_CHECKING

import numpy as np
import torch

from twofold.documents import span_counts
from twofold.errors import DeviceError
from twofold.local.calibration import samples
from twofold.local.device import ACCURACY, choose_device, choose_dtype, is_out_of_memory
from twofold.local.packing import Batch, batches, slices
from twofold.local.pooling import pool
from twofold.local.tokenizer import Tokenizer
from twofold.local.windows import Limits, check_late
from twofold.models import warn_terms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.backend import Report
    from twofold.documents import Document
    from twofold.local.encoder import Encoder
    from twofold.local.files.checkpoint import Checkpoint
    from twofold.local.windows import TokenSequence
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray

CPU_TOKENS = 1536
"""Tokens in a batch on a CPU: activations stay in cache. From the sweep in `benchmarks/`."""
GPU_TOKENS = 32_768


@dataclass(frozen=True)
class Loaded:
    """Weights on a device. `lock` lets one batch at a time compute: more would share the same cores."""

    encoder: Encoder
    lock: threading.Lock


_LOADED: dict[tuple[object, ...], Loaded] = {}
_LOADING = threading.Lock()


def unload() -> None:
    """Let go of all weights that the process holds; the next use loads them again."""
    with _LOADING:
        _LOADED.clear()


class LocalBackend:
    """A checkpoint on this machine, run by the encoder. Its weights are read at the first use.

    Raises:
        DeviceError: the device asked for is not there.
    """

    provider = None

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        """Choose device and dtype."""
        self.settings = settings
        self.checkpoint = checkpoint
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self.int8 = settings.dtype == "int8"

    @property
    def card(self) -> ModelCard:
        """What the checkpoint is, by its tensors and its own files."""
        return self.checkpoint.card

    @cached_property
    def weights_digest(self) -> str:
        """A digest of the weights' files."""
        return self.checkpoint.digest

    @cached_property
    def loaded(self) -> Loaded:
        """The weights on the device: this process's copy, loaded by whoever needs it first."""
        key = (self.checkpoint.signature, self.device, self.dtype, self.int8, *self._merged)
        with _LOADING:
            if key not in _LOADED:
                warn_terms(self.card)
                noted = samples(self.tokenizer, self.card) if self.int8 else ()
                load = self.checkpoint.load
                encoder = load(self.device, self.dtype, int8=self.int8, samples=noted, merge=self._merged)
                _LOADED[key] = Loaded(encoder, threading.Lock())
            return _LOADED[key]

    @property
    def _merged(self) -> tuple[str, ...]:
        """The adapters of both sides, where a copy of the layers is to be kept for each."""
        if not self.settings.merge_adapters:
            return ()
        chosen = (("query", self.settings.query_task), ("document", self.settings.document_task))
        return tuple(sorted({task.adapter for task in starmap(self.card.side, chosen) if task.adapter is not None}))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The checkpoint's tokenizer, which needs no weights."""
        return Tokenizer(self.checkpoint.folder)

    def limits(self, truncate: Truncate) -> Limits:
        """How long a sequence may be, and how long documents are cut into windows."""
        window, overlap = self.card.late_policy(self.settings.late_window, self.settings.late_overlap)
        return Limits(self.card.max_tokens, truncate, window, overlap)

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it."""
        return self.tokenizer.count(texts, task)

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector for each span, not normalised, (n_spans, dimensions).

        Raises:
            InputError: see `Tokenizer.sequences`; or several spans for a model that late chunking cannot serve.
            DeviceError: one sequence alone is too much for the device's memory.
        """
        return self._embed(documents, task, dimensions, truncate, report, threading.Event())

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """`embed` in a thread; a cancelled call stops after the batch in hand."""
        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(self._embed, documents, task, dimensions, truncate, report, cancelled)
        finally:
            cancelled.set()

    def _embed(  # noqa: PLR0917 - `embed` and `aembed` share it, the latter by a thread
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        truncate: Truncate,
        report: Report | None,
        cancelled: threading.Event,
    ) -> FloatArray:
        check_late(documents, self.card)
        limits, parts = self.limits(truncate), slices(documents)
        if len(parts) > 1:  # all is checked before any work, and nothing of it is kept
            for start, part in parts:
                self.tokenizer.sequences(part, task, limits, start)
        result = np.empty((sum(span_counts(documents)), dimensions), np.float32)
        row = 0
        for start, part in parts:
            sequences = self.tokenizer.sequences(part, task, limits, start)
            rows = result[row : (row := row + sum(span_counts(part)))]
            left = np.bincount([sequence.document - start for sequence in sequences], minlength=len(part))
            for group in batches(sequences, self.batch_tokens):
                if cancelled.is_set():
                    return result
                self._fill(rows, group, task.adapter)
                if report is not None:
                    done = [sequence.document - start for sequence in group]
                    np.subtract.at(left, done, 1)
                    report(int((left[np.unique(done)] == 0).sum()), sum(len(sequence.ids) for sequence in group))
        return result

    @property
    def precision(self) -> str:
        """What the weights are kept in: float32, bfloat16 or int8."""
        return "int8" if self.int8 else str(self.dtype).removeprefix("torch.")

    @property
    def batch_tokens(self) -> int:
        """Tokens in one batch."""
        return self.settings.batch_tokens or (CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS)

    def _fill(self, result: FloatArray, group: Sequence[TokenSequence], adapter: str | None) -> None:
        """Compute a batch into its rows of the result; where memory runs out, each half by itself."""
        targets = [target for sequence in group for target in sequence.targets]
        vectors = self._compute(group, adapter)
        if vectors is not None:
            result[targets] = vectors[:, : result.shape[1]]
            return
        if len(group) == 1:
            raise DeviceError(
                f"out of memory on {self.device} with a single sequence of {len(group[0].ids)} tokens: "
                "take a smaller late_window, a smaller dtype, or another device"
            )
        middle = len(group) // 2
        self._fill(result, group[:middle], adapter)
        self._fill(result, group[middle:], adapter)

    @torch.inference_mode()
    def _compute(self, group: Sequence[TokenSequence], adapter: str | None) -> FloatArray | None:
        """The pooled vectors of a batch, (n_targets, width); None where memory ran out."""
        batch = Batch.of(group, self.device)
        try:
            with self.loaded.lock:
                hidden = self.loaded.encoder(batch, adapter)
                return pool(hidden, group, self.card.pooling).cpu().numpy()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def describe(self) -> dict[str, str]:
        """What runs where, for people: family, device, dtype, kernels, memory."""
        encoder = self.loaded.encoder
        return {
            "folder": str(self.checkpoint.folder),
            "family": encoder.config.family,
            "adapters": ", ".join(self.checkpoint.adapter_names) or "none",
            "device": str(self.device),
            "dtype": self.precision,
            "accuracy": ACCURACY[self.precision],
            "products": encoder.products,
            "attention": encoder.attended,
            "weights in memory": f"{encoder.nbytes / 2**20:,.0f} MiB",
            "weights digest": self.weights_digest,
        }
