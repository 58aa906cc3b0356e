"""Engines as a worker opens them: Twofold in the project's environment, sentence-transformers in a peer's.

What a peer makes of a checkpoint (an exported graph, int8 weights) is kept in its environment's folder.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy import ndarray

BATCHES = (32, 16, 8, 4)
"""Texts in a batch that a peer is tried with; 32 is its default."""


@dataclass(frozen=True)
class Opening:
    """What an engine is opened with.

    Attributes:
        folder: the checkpoint.
        kept: the name under which a peer keeps what it makes of it.
        dtype: float32, bfloat16 or int8.
        calibration: texts for a peer that quantises by what it sees.
        bare: leave the adapters out.
    """

    folder: str
    kept: str
    dtype: str
    calibration: Sequence[str] = ()
    bare: bool = False


class Engine(Protocol):
    """A model in one dtype. `note` says what it computes in, where that is not plain."""

    note: str

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        """Documents to unit vectors, (n, width), with `batch` texts a batch (Twofold: tokens); None is the default."""
        ...

    def query(self, text: str) -> ndarray:
        """One question to its unit vector, (width,)."""
        ...


class Twofold:
    """This project's engine."""

    note = ""

    def __init__(self, opening: Opening) -> None:
        from twofold import Embedder

        tasks: dict[str, Any] = {"query_task": None, "document_task": None} if opening.bare else {}
        dtype: Any = opening.dtype
        make = functools.partial(Embedder, opening.folder, dtype=dtype, device="cpu", truncate="end", **tasks)
        self.embedder = functools.cache(lambda batch: make(batch_tokens=batch))

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        """The weights are held once, whatever the number of batch sizes."""
        vectors: ndarray = self.embedder(batch).embed_documents(texts)
        return vectors

    def query(self, text: str) -> ndarray:
        """On the query side, with its adapter."""
        vector: ndarray = self.embedder(None).embed_query(text)
        return vector


class SentenceTransformers:
    """The peer, whichever backend computes."""

    def __init__(self, model: Any, note: str = "") -> None:
        self.note = note
        self.model = model

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        """Normalised as well, and without a progress bar."""
        size = batch or BATCHES[0]
        vectors: ndarray = self.model.encode(
            list(texts), batch_size=size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def query(self, text: str) -> ndarray:
        """One text alone."""
        vector: ndarray = self.model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        return vector


def with_torch(opening: Opening) -> Engine:
    """sentence-transformers as most users run it."""
    if opening.dtype == "int8":
        raise ValueError("sentence-transformers has no int8 in torch on a CPU")
    return SentenceTransformers(_load(opening.folder, model_kwargs={"dtype": opening.dtype}))


def openvino_graph(opening: Opening) -> Path:
    """The graph that OpenVINO runs, exported once; int8 by nncf, smoothed and calibrated on texts like those timed."""
    plain = _exported(opening, "openvino", "openvino/openvino_model.xml")
    int8 = plain.with_name("openvino_model_int8.xml")
    if opening.dtype == "int8" and not int8.exists():
        _quantize_openvino(plain, int8, opening.calibration)
    return int8 if opening.dtype == "int8" else plain


def with_openvino(opening: Opening) -> Engine:
    """sentence-transformers on OpenVINO."""
    graph = openvino_graph(opening)
    hint = {"float32": "f32", "bfloat16": "bf16"}.get(opening.dtype)
    options = {"INFERENCE_PRECISION_HINT": hint} if hint else {}
    model = _load(graph.parents[1], backend="openvino", model_kwargs={"file_name": graph.name, "ov_config": options})
    precision = model[0].auto_model.request.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    return SentenceTransformers(model, "" if hint else f"what is not int8 runs in its default, {precision}")


def onnx_graph(opening: Opening) -> Path:
    """The graph that ONNX Runtime runs, exported once; int8 is its dynamic quantisation for VNNI."""
    if opening.dtype == "bfloat16":
        raise ValueError("ONNX Runtime has no bfloat16 products on a CPU")
    plain = _exported(opening, "onnx", "onnx/model.onnx")
    int8 = plain.with_name("model_qint8_avx512_vnni.onnx")
    if opening.dtype == "int8" and not int8.exists():
        from sentence_transformers import export_dynamic_quantized_onnx_model

        export_dynamic_quantized_onnx_model(_load_onnx(plain), "avx512_vnni", str(plain.parents[1]))
    return int8 if opening.dtype == "int8" else plain


def with_onnxruntime(opening: Opening) -> Engine:
    """sentence-transformers on ONNX Runtime."""
    return SentenceTransformers(_load_onnx(onnx_graph(opening)))


FAMILIES: dict[str, Callable[[Opening], Engine]] = {
    "twofold": Twofold,
    "torch": with_torch,
    "openvino": with_openvino,
    "onnxruntime": with_onnxruntime,
}


GRAPHS: dict[str, Callable[[Opening], Path]] = {"openvino": openvino_graph, "onnxruntime": onnx_graph}
"""What a family makes of a checkpoint before it can be opened; it is kept."""


def _load(folder: str | Path, **options: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", **options)


def _load_onnx(graph: Path) -> Any:
    options = {"provider": "CPUExecutionProvider", "file_name": graph.name}
    return _load(graph.parents[1], backend="onnx", model_kwargs=options)


def _exported(opening: Opening, backend: str, file: str) -> Path:
    """The graph that a backend makes of the checkpoint; the rest of the checkpoint is put beside it."""
    kept = Path(sys.prefix) / "exported" / opening.kept
    if not (kept / file).exists():
        _load(opening.folder, backend=backend).save_pretrained(str(kept))
    return kept / file


def _quantize_openvino(plain: Path, to: Path, calibration: Sequence[str]) -> None:
    """What sentence-transformers' own export does by default, with texts of ours: its data set lies on a hub."""
    import nncf
    import openvino

    model = _load(plain.parents[1], backend="openvino", model_kwargs={"file_name": plain.name})
    graph = model[0].auto_model.model
    inputs = {port.get_any_name() for port in graph.inputs}
    encoded = [model.tokenizer(text, truncation=True, max_length=256, return_tensors="np") for text in calibration]
    seen = nncf.Dataset([{name: value for name, value in one.items() if name in inputs} for one in encoded])
    quantized = nncf.quantize(graph, seen, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(encoded))
    openvino.save_model(quantized, str(to))
