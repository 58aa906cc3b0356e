"""The local backend: device and dtype, weights shared within the process, the loop over batches."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import starmap
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

import numpy as np
import torch

from twofold.documents import Document, span_counts
from twofold.errors import DeviceError
from twofold.local.calibration import samples
from twofold.local.device import ACCURACY, choose_device, choose_dtype, is_out_of_memory
from twofold.local.packing import Batch, batches, pool, slices
from twofold.local.tokenizer import Tokenizer
from twofold.local.verification import verify
from twofold.local.windows import Limits, check_late
from twofold.models import warn_terms
from twofold.settings import Truncate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.backend import Report
    from twofold.local.encoder import Encoder
    from twofold.local.files.checkpoint import Checkpoint
    from twofold.local.verification import Verified
    from twofold.local.windows import TokenSequence
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings
    from twofold.vectors import FloatArray

CPU_TOKENS = 1536
"""Tokens in a batch on a CPU, so that activations stay in cache. Found by the sweep in `benchmarks/local.py`."""
GPU_TOKENS = 32_768


Engine = TypeVar("Engine")


@dataclass(frozen=True)
class Loaded(Generic[Engine]):
    """Weights on a device. `lock` allows one batch at a time, since concurrent batches would share the same cores."""

    encoder: Engine
    lock: threading.Lock
    verified: dict[tuple[object, ...], Verified]  # by the tasks of both sides


LOADED: dict[tuple[object, ...], Loaded[Any]] = {}
"""The weights that this process holds, of both local engines, by their files, device and dtype."""
LOADING = threading.Lock()


def unload() -> None:
    """Release all weights that the process holds. The next use loads them again."""
    with LOADING:
        LOADED.clear()


class LocalBackend:
    """A checkpoint run by Twofold's own encoder. It reads the weights at the first use.

    Raises:
        DeviceError: this machine does not have the requested device.
    """

    provider = None

    def __init__(self, settings: Settings, checkpoint: Checkpoint) -> None:
        self.settings = settings
        self.checkpoint = checkpoint
        self.device = choose_device(settings.device)
        self.dtype = choose_dtype(settings.dtype, self.device)
        self.int8 = settings.dtype == "int8"

    @property
    def card(self) -> ModelCard:
        return self.checkpoint.card

    @cached_property
    def weights_digest(self) -> str:
        return self.checkpoint.digest

    @cached_property
    def loaded(self) -> Loaded[Encoder]:
        """The weights on the device. Embedders of one process share a copy; the first use loads it."""
        key = (self.checkpoint.signature, self.device, self.dtype, self.int8, *self._merged)
        with LOADING:
            if key not in LOADED:
                warn_terms(self.card)
                noted = samples(self.tokenizer, self.card) if self.int8 else ()
                load = self.checkpoint.load
                encoder = load(self.device, self.dtype, int8=self.int8, samples=noted, merge=self._merged)
                LOADED[key] = Loaded(encoder, threading.Lock(), {})
            loaded: Loaded[Encoder] = LOADED[key]
            sides = (self.settings.query_task, self.settings.document_task)
            if sides not in loaded.verified:
                loaded.verified[sides] = verify(partial(self._tried, loaded), self.card, self.settings, self.precision)
            return loaded

    @property
    def verified(self) -> Verified:
        """The check of the weights, which is made when they are loaded."""
        return self.loaded.verified[self.settings.query_task, self.settings.document_task]

    def _tried(self, loaded: Loaded[Encoder], texts: Sequence[str], task: Task) -> FloatArray:
        """The vectors of short texts in one batch, without the checks of a call."""
        documents = [Document.whole(text) for text in texts]
        (group,) = batches(self.tokenizer.sequences(documents, task, self.limits["end"]), GPU_TOKENS)
        vectors = np.empty((len(group), self.card.width), np.float32)
        vectors[[sequence.document for sequence in group]] = self._run(loaded, group, task.adapter)
        return vectors

    @property
    def _merged(self) -> tuple[str, ...]:
        """The adapters of both sides with `merge_adapters`, which keeps a copy of the layers for each of them."""
        if not self.settings.merge_adapters:
            return ()
        chosen = (("query", self.settings.query_task), ("document", self.settings.document_task))
        return tuple(sorted({task.adapter for task in starmap(self.card.side, chosen) if task.adapter is not None}))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        return Tokenizer(self.checkpoint.folder)

    @cached_property
    def limits(self) -> dict[Truncate, Limits]:
        """The limits of a call, by its `truncate`."""
        window, overlap = self.card.late_policy(self.settings.late_window, self.settings.late_overlap)
        return {cut: Limits(self.card.max_tokens, cut, window, overlap) for cut in get_args(Truncate)}

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The number of tokens of each text, with its instruction and special tokens."""
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
        """One vector per span, not normalised, (n_spans, dimensions).

        Raises:
            InputError: a text or a span is too long, or spans are given to a model that is not mean-pooled.
            DeviceError: a single sequence does not fit in the device's memory.
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
        """`embed` in a thread. A cancelled call stops after the current batch."""
        cancelled = threading.Event()
        try:
            return await asyncio.to_thread(self._embed, documents, task, dimensions, truncate, report, cancelled)
        finally:
            cancelled.set()

    def _embed(  # noqa: PLR0917 - `asyncio.to_thread` passes them in order
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        truncate: Truncate,
        report: Report | None,
        cancelled: threading.Event,
    ) -> FloatArray:
        check_late(documents, self.card)
        limits, parts = self.limits[truncate], slices(documents)
        if len(parts) > 1:  # check all texts before the first batch, without keeping their tokens
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
        """The dtype of the weights in memory: float32, bfloat16 or int8."""
        return "int8" if self.int8 else str(self.dtype).removeprefix("torch.")

    @property
    def batch_tokens(self) -> int:
        return self.settings.batch_tokens or (CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS)

    def _fill(self, result: FloatArray, group: Sequence[TokenSequence], adapter: str | None) -> None:
        """Compute a batch into its rows of the result. If memory runs out, compute each half separately."""
        targets = [target for sequence in group for target in sequence.targets]
        vectors = self._compute(group, adapter)
        if vectors is not None:
            result[targets] = vectors[:, : result.shape[1]]
            return
        if len(group) == 1:
            raise DeviceError(
                f"out of memory on {self.device} with a single sequence of {len(group[0].ids)} tokens: "
                "use a smaller late_window, a smaller dtype, or another device"
            )
        middle = len(group) // 2
        self._fill(result, group[:middle], adapter)
        self._fill(result, group[middle:], adapter)

    @torch.inference_mode()
    def _run(self, loaded: Loaded[Encoder], group: Sequence[TokenSequence], adapter: str | None) -> FloatArray:
        batch = Batch.of(group, self.device)
        with loaded.lock:
            hidden = loaded.encoder(batch, adapter)
            return pool(hidden, group, self.card.pooling).cpu().numpy()

    def _compute(self, group: Sequence[TokenSequence], adapter: str | None) -> FloatArray | None:
        """The pooled vectors of a batch, (n_targets, width), or None if memory ran out."""
        try:
            return self._run(self.loaded, group, adapter)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def describe(self) -> dict[str, str]:
        """What runs, for people to read: family, device, dtype, kernels, memory."""
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


def _renew_locks() -> None:
    """Free the locks in a forked child: a thread that does not exist there may have held them."""
    global LOADING  # noqa: PLW0603 - it is the lock itself
    LOADING = threading.Lock()
    for loaded in LOADED.values():
        object.__setattr__(loaded, "lock", threading.Lock())  # the object is frozen, and backends share it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_locks)
