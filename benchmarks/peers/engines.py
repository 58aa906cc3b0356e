"""The engines that a worker opens: Twofold in the project's environment, sentence-transformers in a peer's.

Converted checkpoints of a peer (an exported graph, int8 weights) are kept in the folder of its environment.
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
"""The batch sizes to try with a peer. Its default is 32."""


@dataclass(frozen=True)
class Opening:
    """The arguments to open an engine.

    Attributes:
        folder: the checkpoint.
        kept: the name under which a peer keeps the converted checkpoint.
        dtype: float32, bfloat16 or int8.
        calibration: texts for a peer that calibrates its quantisation.
        bare: run without adapters.
    """

    folder: str
    kept: str
    dtype: str
    calibration: Sequence[str] = ()
    bare: bool = False


class Engine(Protocol):
    """A model in one dtype. `note` explains the dtype of the computation if it is not obvious."""

    note: str

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        """Documents to unit vectors (n, width). `batch` is texts (Twofold: tokens) per batch; None is the default."""
        ...

    def query(self, text: str) -> ndarray:
        """One question to its unit vector, (width,)."""
        ...


class Twofold:
    """Twofold's own engine."""

    note = ""

    def __init__(self, opening: Opening) -> None:
        from twofold import Embedder

        tasks: dict[str, Any] = {"query_task": None, "document_task": None} if opening.bare else {}
        dtype: Any = opening.dtype
        make = functools.partial(Embedder, opening.folder, dtype=dtype, device="cpu", truncate="end", **tasks)
        self.embedder = functools.cache(lambda batch: make(batch_tokens=batch))

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        """Embedders of different batch sizes share the weights."""
        vectors: ndarray = self.embedder(batch).embed_documents(texts)
        return vectors

    def query(self, text: str) -> ndarray:
        vector: ndarray = self.embedder(None).embed_query(text)
        return vector


class SentenceTransformers:
    """sentence-transformers on any backend."""

    def __init__(self, model: Any, note: str = "") -> None:
        self.note = note
        self.model = model

    def encode(self, texts: Sequence[str], batch: int | None) -> ndarray:
        size = batch or BATCHES[0]
        vectors: ndarray = self.model.encode(
            list(texts), batch_size=size, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors

    def query(self, text: str) -> ndarray:
        vector: ndarray = self.model.encode(text, normalize_embeddings=True, show_progress_bar=False)
        return vector


def with_torch(opening: Opening) -> Engine:
    """sentence-transformers as most users run it."""
    if opening.dtype == "int8":
        raise ValueError("sentence-transformers has no int8 in torch on a CPU")
    return SentenceTransformers(_load(opening.folder, model_kwargs={"dtype": opening.dtype}))


def openvino_graph(opening: Opening) -> Path:
    """The graph for OpenVINO, exported once. int8 is by nncf, smoothed and calibrated on texts like the timed ones."""
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
    """The graph for ONNX Runtime, exported once. int8 is its dynamic quantisation for VNNI."""
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
"""The conversion of a checkpoint for each family that needs one. The result is kept."""


def _load(folder: str | Path, **options: Any) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", **options)


def _load_onnx(graph: Path) -> Any:
    options = {"provider": "CPUExecutionProvider", "file_name": graph.name}
    return _load(graph.parents[1], backend="onnx", model_kwargs=options)


def _exported(opening: Opening, backend: str, file: str) -> Path:
    """The checkpoint's graph for a backend, in a folder with the other files of the checkpoint."""
    kept = Path(sys.prefix) / "exported" / opening.kept
    if not (kept / file).exists():
        _load(opening.folder, backend=backend).save_pretrained(str(kept))
    return kept / file


def _quantize_openvino(plain: Path, to: Path, calibration: Sequence[str]) -> None:
    """The default of sentence-transformers' own export, but with our texts, since its data set needs a hub."""
    import nncf
    import openvino

    model = _load(plain.parents[1], backend="openvino", model_kwargs={"file_name": plain.name})
    graph = model[0].auto_model.model
    inputs = {port.get_any_name() for port in graph.inputs}
    encoded = [model.tokenizer(text, truncation=True, max_length=256, return_tensors="np") for text in calibration]
    seen = nncf.Dataset([{name: value for name, value in one.items() if name in inputs} for one in encoded])
    quantized = nncf.quantize(graph, seen, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(encoded))
    openvino.save_model(quantized, str(to))
