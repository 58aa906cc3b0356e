"""A worker: one process per peer, in its own environment, that serves the benchmark's requests.

`python -m peers.worker FAMILY` reads JSON lines from standard input and answers each with one line: `{"ok": …}`, or
`{"error": "…"}` with the reason. Vectors are written to .npy files. Output of libraries goes to standard error.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import json
import os
import statistics
import sys
import time
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from peers import limits
from peers.engines import FAMILIES, GRAPHS, Opening

if TYPE_CHECKING:
    from peers.engines import Engine

IMPORTS = {
    "twofold": ("twofold.local.backend",),
    "torch": ("sentence_transformers",),
    "openvino": ("sentence_transformers", "optimum.intel.openvino"),
    "onnxruntime": ("sentence_transformers", "optimum.onnxruntime"),
}
VERSIONS = (
    *("twofold", "sentence-transformers", "transformers", "torch"),
    *("optimum-intel", "openvino", "nncf", "optimum-onnx", "onnxruntime"),
)


class Worker:
    """The open engines and the received texts. Each public method is a request."""

    def __init__(self, family: str) -> None:
        self._family = family
        self._engines: dict[str, Engine] = {}
        self._texts: dict[str, list[str]] = {}

    def about(self) -> dict[str, Any]:
        """Versions, threads, whether the CPU supports bfloat16, and the duration of the imports in seconds."""
        start = time.perf_counter()
        for module in IMPORTS[self._family]:
            importlib.import_module(module)
        seconds = time.perf_counter() - start
        import torch

        has: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        return {
            "imports": seconds,
            "threads": torch.get_num_threads(),
            "bfloat16": bool(has.get("avx512_bf16") or has.get("amx_bf16")),
            "versions": {name: version for name in VERSIONS if (version := _version(name))},
        }

    def begin(self, texts: dict[str, list[str]]) -> None:
        """Start a stage: close all engines to free their memory, and keep the new texts by name."""
        self._texts = texts
        self._engines.clear()
        if self._family == "twofold":
            from twofold.local.backend import unload

            unload()
        gc.collect()

    def open(self, engine: str, **opening: Any) -> dict[str, Any]:
        """Open an engine and measure the seconds to its first vector, without the conversion of the checkpoint."""
        wanted = Opening(**opening, calibration=self._texts["calibration"])
        if self._family in GRAPHS:
            GRAPHS[self._family](wanted)
            gc.collect()
        start = time.perf_counter()
        opened = FAMILIES[self._family](wanted)
        opened.query(self._texts["queries"][0])
        self._engines[engine] = opened
        return {"seconds": time.perf_counter() - start, "note": opened.note}

    def encode(self, engine: str, texts: str, batch: int | None = None, to: str | None = None) -> float:
        """The seconds to embed all texts of that name. Writes the vectors to the file `to`."""
        start = time.perf_counter()
        vectors = self._engines[engine].encode(self._texts[texts], batch)
        seconds = time.perf_counter() - start
        if to is not None:
            np.save(to, vectors.astype(np.float32))
        return seconds

    def queries(self, engine: str, count: int) -> float:
        """The median seconds of one query, over `count` queries."""
        run, texts, seconds = self._engines[engine].query, self._texts["queries"], []
        for number in range(count):
            start = time.perf_counter()
            run(texts[number % len(texts)])
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds)

    def peak(self, dtype: str) -> dict[str, float]:
        """GFLOP/s of products, from `limits.peak`."""
        return limits.peak(dtype)

    def profile(self, engine: str) -> dict[str, Any]:
        """The profile of one pass over the timed texts, from `limits.profile`."""
        return limits.profile(self._engines[engine], self._texts["many"])


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # libraries print to standard output too
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any]
        try:
            answer = {"ok": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:  # noqa: BLE001 - any error of a peer becomes the reason in its row
            said = next(iter(str(error).strip().splitlines()), "")
            answer = {"error": f"{type(error).__name__}: {said}" if said else type(error).__name__}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
