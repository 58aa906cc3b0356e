"""The local backend: device and dtype, weights shared by the process, the loop over batches."""

from __future__ import annotations

import asyncio
import threading
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from twofold.documents import span_counts
from twofold.errors import DeviceError, InputError, LicenceWarning
from twofold.extras import extra
from twofold.models import find_card

with extra("local"):
    import huggingface_hub as _hub  # noqa: F401 - what is missing is said at once, not in the middle of work
    import safetensors as _safetensors  # noqa: F401
    import tokenizers as _tokenizers  # noqa: F401
    import torch

from twofold.local.checkpoint import Checkpoint, UnknownFamily, locate
from twofold.local.encoder import Batch
from twofold.local.tokens import Limits, Tokenizer, batches, pool_offsets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.backend import Backend, Report
    from twofold.documents import Document
    from twofold.local.encoder import Encoder
    from twofold.local.tokens import Piece
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
    tokenizer: Tokenizer
    lock: threading.Lock


_LOADED: dict[tuple[object, ...], Loaded] = {}
_LOADING = threading.Lock()


def unload() -> None:
    """Let go of all weights that the process holds; the next use loads them again."""
    with _LOADING:
        _LOADED.clear()


def open_backend(settings: Settings) -> Backend:
    """Find a checkpoint, recognise it, and choose the engine that runs it.

    Raises:
        ModelError: a folder or hub id without a usable checkpoint.
        MissingExtra: a family that goes through sentence-transformers, and that extra is not installed.
    """
    card = None if Path(settings.model).is_dir() else find_card(settings.model)
    where = locate(card.name if card else settings.model, settings.revision)
    try:
        return LocalBackend(settings, Checkpoint.read(where, card.name if card else None))
    except UnknownFamily as unknown:
        reason = str(unknown)
    from twofold.local.fallback import FallbackBackend  # noqa: PLC0415 - imports this module

    return FallbackBackend(settings, where, reason)


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
        key = (self.checkpoint.signature, self.device, self.dtype, self.settings.dtype == "int8")
        with _LOADING:
            if key not in _LOADED:
                _say_terms(self.card)
                encoder = self.checkpoint.load(self.device, self.dtype, int8=self.settings.dtype == "int8")
                _LOADED[key] = Loaded(encoder, Tokenizer(self.checkpoint.folder), threading.Lock())
            return _LOADED[key]

    def limits(self, truncate: Truncate) -> Limits:
        """How long a sequence may be, and how long documents are cut into windows."""
        window, overlap = self.card.late_policy(self.settings.late_window, self.settings.late_overlap)
        return Limits(self.card.max_tokens, truncate, window, overlap)

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text as the model sees it."""
        return self.loaded.tokenizer.count(texts, task)

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector for each span at the model's full width, (n_spans, width); `dimensions` is cut by the embedder.

        Raises:
            InputError: see `Tokenizer.pieces`; or several spans for a model that late chunking can not serve.
            DeviceError: one sequence alone is too much for the device's memory.
        """
        return self._embed(documents, task, truncate, report, threading.Event())

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
            return await asyncio.to_thread(self._embed, documents, task, truncate, report, cancelled)
        finally:
            cancelled.set()

    def _embed(
        self,
        documents: Sequence[Document],
        task: Task,
        truncate: Truncate,
        report: Report | None,
        cancelled: threading.Event,
    ) -> FloatArray:
        check_late(documents, self.card)
        pieces = self.loaded.tokenizer.pieces(documents, task, self.limits(truncate))
        result = np.empty((sum(span_counts(documents)), self.card.width), np.float32)
        left = np.bincount([piece.document for piece in pieces], minlength=len(documents))
        for group in batches(pieces, self.batch_tokens):
            if cancelled.is_set():
                break
            self._fill(result, group, task.adapter)
            if report is not None:
                done = [piece.document for piece in group]
                np.subtract.at(left, done, 1)
                report(int((left[np.unique(done)] == 0).sum()), sum(len(piece.ids) for piece in group))
        return result

    @property
    def precision(self) -> str:
        """What the weights are kept in: float32, bfloat16 or int8."""
        return "int8" if self.settings.dtype == "int8" else str(self.dtype).removeprefix("torch.")

    @property
    def batch_tokens(self) -> int:
        """Tokens in one batch."""
        return self.settings.batch_tokens or (CPU_TOKENS if self.device.type == "cpu" else GPU_TOKENS)

    def _fill(self, result: FloatArray, group: Sequence[Piece], adapter: str | None) -> None:
        """Compute a batch into its rows of the result; where memory runs out, each half by itself."""
        targets = [target for piece in group for target in piece.targets]
        vectors = self._compute(group, adapter)
        if vectors is not None:
            result[targets] = vectors
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
    def _compute(self, group: Sequence[Piece], adapter: str | None) -> FloatArray | None:
        """The pooled vectors of a batch, (n_targets, width); None where memory ran out."""
        ids = np.concatenate([np.asarray(piece.ids, np.int64) for piece in group])
        batch = Batch(torch.from_numpy(ids).to(self.device), [len(piece.ids) for piece in group])
        try:
            with self.loaded.lock:
                hidden = self.loaded.encoder(batch, adapter)
                return self._pool(hidden, group).float().cpu().numpy()
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _pool(self, hidden: torch.Tensor, group: Sequence[Piece]) -> torch.Tensor:
        """Hidden states (T, H) -> (n_targets, H) float32: each target's mean, first or last token."""
        if self.card.pooling == "mean":
            rows, offsets = (torch.from_numpy(array).to(self.device) for array in pool_offsets(group))
            return torch.nn.functional.embedding_bag(rows, hidden.float(), offsets, mode="mean")
        ends = np.cumsum([len(piece.ids) for piece in group])
        places = ends - 1 if self.card.pooling == "last" else np.concatenate([[0], ends[:-1]])
        return hidden[torch.from_numpy(places).to(self.device)].float()

    def describe(self) -> dict[str, str]:
        """What runs where, for people: family, device, dtype, kernels, memory."""
        encoder = self.loaded.encoder
        attention = "packed FlashAttention" if encoder.packed_kernel else "scaled dot product, runs of one length"
        return {
            "folder": str(self.checkpoint.folder),
            "family": encoder.config.family,
            "adapters": ", ".join(self.checkpoint.adapter_names) or "none",
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch.") + ", int8 weights" * (self.settings.dtype == "int8"),
            "attention": attention,
            "weights in memory": f"{encoder.nbytes / 2**20:,.0f} MiB",
            "weights digest": self.weights_digest,
        }


def check_late(documents: Sequence[Document], card: ModelCard) -> None:
    """Refuse spans of a model whose pooling can not tell them apart.

    Raises:
        InputError: a document with spans, and a model that is pooled by its first or last token.
    """
    if card.pooling == "mean":
        return
    for index, document in enumerate(documents):
        if not document.is_whole:
            raise InputError(
                f"document {index} has spans, but {card.name} pools its {card.pooling} token alone, so all spans "
                "would share a vector: late chunking needs a mean-pooled model",
                index=index,
            )


def choose_device(name: str) -> torch.device:
    """The device asked for; "auto" is CUDA, then Apple's GPU, then the CPU.

    Raises:
        DeviceError: no such device here, with those that are.
    """
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    there += ["mps"] if torch.backends.mps.is_available() else []
    if name == "auto":
        name = "cuda:0" if "cuda:0" in there else there[-1]
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in there:
        raise DeviceError(f"device {name!r} is not there: this machine has {', '.join(there)}")
    return torch.device(wanted)


def choose_dtype(name: str, device: torch.device) -> torch.dtype:
    """The dtype to compute in; "auto" is bfloat16 where the hardware multiplies it natively, float32 elsewhere."""
    if name in {"float32", "bfloat16"}:
        return torch.float32 if name == "float32" else torch.bfloat16
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        native = device.type == "cpu" and cpu_has_bfloat16()
    return torch.bfloat16 if native else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 natively (avx512_bf16 or amx_bf16); no where torch can not say."""
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _is_out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


_SAID: set[str] = set()


def _say_terms(card: ModelCard) -> None:
    """Say once for each model what its licence asks, where that is more than to keep the notice."""
    if card.terms and card.name not in _SAID:
        _SAID.add(card.name)
        warnings.warn(f"the weights of {card.name} are {card.licence}: {card.terms}", LicenceWarning, stacklevel=2)
