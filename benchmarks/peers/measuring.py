"""One stage of the benchmark: a checkpoint, texts, engines that take turns, and the results of each engine."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from peers.environments import PeerError
from peers.quality import cosines, ranking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray
    from peers.checkpoints import Shape
    from peers.client import Client
    from peers.quality import Cosines, Ranking
    from peers.texts import Texts

OURS = "twofold"


@dataclass
class Row:
    """An engine and its measurements. Times are in seconds and the best of all rounds.

    Attributes:
        family, dtype, bare: the engine; `bare` is Twofold without adapters.
        failure: the reason why there are no measurements, or "".
        note: the engine's own remark.
        first: the time to the first vector, including the imports of its process.
        batch: texts per batch, the best of those tried; None is the engine's own choice.
        many: the time for all texts.
        query: the median time of the queries in one turn.
        near: the cosines of its vectors to float32's.
        ranks: how well it ranks the demo's answers.
    """

    family: str
    dtype: str
    bare: bool = False
    failure: str = ""
    note: str = ""
    first: float = inf
    batch: int | None = None
    tried: dict[int, float] = field(default_factory=dict)
    many: float = inf
    query: float = inf
    near: Cosines | None = None
    ranks: Ranking | None = None

    @property
    def name(self) -> str:
        return f"{self.family} {self.dtype}" + ", no adapter" * self.bare


@dataclass(frozen=True)
class Stage:
    """A checkpoint for Twofold, one for the peers (the same, or one of equal size), and the texts for all engines."""

    name: str
    ours: Path
    theirs: Path
    shape: Shape
    texts: Texts
    rounds: int
    batches: Sequence[int]
    queries: int = 20

    def folder(self, family: str) -> Path:
        return self.ours if family == OURS else self.theirs


@dataclass
class Measured:
    """A stage with its rows, the machine's peaks by dtype (GFLOP/s) and Twofold's profiles."""

    stage: Stage
    rows: list[Row]
    peaks: dict[str, dict[str, float]] = field(default_factory=dict)
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """The number of tokens in all timed texts."""
        return sum(self.stage.texts.lengths)

    def row(self, name: str) -> Row | None:
        """The row with that name, or None if the engine failed."""
        return next((row for row in self.rows if row.name == name and not row.failure), None)

    def best(self, family: str, what: str) -> float:
        """The minimum of `what` ("many", "query") over the dtypes of a family, or infinity if none ran."""
        return min((getattr(row, what) for row in self.rows if row.family == family and not row.failure), default=inf)


def measure(stage: Stage, clients: dict[str, Client], rows: list[Row], say: Callable[[str], None]) -> Measured:
    """Open all engines, evaluate their vectors, then let them take turns. A failed row contains the reason."""
    measured = Measured(stage, rows)
    for client in clients.values():
        with suppress(PeerError):  # its rows will report the same error
            client.ask("begin", texts=stage.texts.by_name)
    with tempfile.TemporaryDirectory() as place:
        vectors: dict[str, dict[str, NDArray[np.float32]]] = {}
        for row in running(rows):
            say(f"{stage.name}: {row.name}")
            with failing(row):
                vectors[row.name] = opened(stage, clients[row.family], row, Path(place) / "vectors.npy")
        worth(stage, rows, vectors)
    for number in range(stage.rounds):
        say(f"{stage.name}: round {number + 1} of {stage.rounds}")
        take_turns(measured, clients)
    for row in running(rows):
        if row.family == OURS and not row.bare:
            with failing(row):
                measured.profiles[row.dtype] = clients[OURS].ask("profile", engine=row.name)
    return measured


def running(rows: Iterable[Row]) -> list[Row]:
    """The rows that have not failed."""
    return [row for row in rows if not row.failure]


@contextmanager
def failing(row: Row) -> Iterator[None]:
    """Record an error inside the block as the row's failure."""
    try:
        yield
    except PeerError as error:
        row.failure = str(error)


def opened(stage: Stage, client: Client, row: Row, file: Path) -> dict[str, NDArray[np.float32]]:
    """Open an engine, find its best batch size, and embed the texts for quality: name of the texts -> vectors."""
    folder = stage.folder(row.family)
    told = client.ask("open", engine=row.name, folder=str(folder), kept=folder.name, dtype=row.dtype, bare=row.bare)
    row.note, row.first = told["note"], told["seconds"]
    vectors = {}
    for name in ("corpus", "questions") if stage.texts.corpus else ("many",):
        client.ask("encode", engine=row.name, texts=name, to=str(file))
        vectors[name] = np.load(file)
    if row.family != OURS:
        row.tried = {size: client.ask("encode", engine=row.name, texts="many", batch=size) for size in stage.batches}
        row.batch = min(row.tried, key=lambda size: row.tried[size])
    return vectors


def worth(stage: Stage, rows: list[Row], vectors: dict[str, dict[str, NDArray[np.float32]]]) -> None:
    """Compare each engine with the first float32 engine on the same checkpoint, preferably a peer."""
    order = sorted(running(rows), key=lambda row: (row.family == OURS, row.bare))
    for row in running(rows):
        reference = next(
            (
                other
                for other in order
                if other.dtype == "float32"
                and stage.folder(other.family) == stage.folder(row.family)
                and other.bare == row.bare
            ),
            None,
        )
        if reference is not None:
            both = [np.concatenate(list(vectors[name].values())) for name in (row.name, reference.name)]
            row.near = cosines(*both)
        if stage.texts.corpus:
            names = [entry.name for entry in stage.texts.corpus]
            own = vectors[row.name]
            row.ranks = ranking(own["questions"], own["corpus"], names, stage.texts.questions)


def take_turns(measured: Measured, clients: dict[str, Client]) -> None:
    """One round: every engine over all texts, the machine's peak in our dtypes, then every engine over queries."""
    stage, rows = measured.stage, measured.rows
    for row in running(rows):
        with failing(row):
            seconds = clients[row.family].ask("encode", engine=row.name, texts="many", batch=row.batch)
            row.many = min(row.many, seconds)
    for dtype in dict.fromkeys(row.dtype for row in running(rows) if row.family == OURS):
        with suppress(PeerError):  # a missing share is printed as not measured
            now, known = clients[OURS].ask("peak", dtype=dtype), measured.peaks.get(dtype, {})
            measured.peaks[dtype] = {name: max(value, known.get(name, 0.0)) for name, value in now.items()}
    for row in running(rows):
        with failing(row):
            row.query = min(row.query, clients[row.family].ask("queries", engine=row.name, count=stage.queries))
