"""Calibration for int8 without user data: runs built-in texts through each layer while it is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import torch

from twofold.documents import Document
from twofold.local.building import Stored
from twofold.local.device import trim_memory
from twofold.local.int8 import Calibrated, Range, Rowwise
from twofold.local.packing import Batch
from twofold.local.windows import Limits
from twofold.models import BARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from twofold.local.encoder import Encoder, Layer, Linear
    from twofold.local.kernels import Plain, Product
    from twofold.local.tokenizer import Tokenizer
    from twofold.models import ModelCard

Samples: TypeAlias = "Sequence[tuple[str | None, Batch]]"
"""Batches, each with its adapter."""

TEXTS = (
    "How do I remove a directory and everything in it?",
    (
        "The committee meets on the first Tuesday of each month. Minutes of the last meeting are sent to "
        "all members a week before, together with the agenda and whatever papers were handed in by then."
    ),
    "Berlin",
    "Die Bibliothek ist samstags von zehn bis vierzehn Uhr geöffnet; an Feiertagen bleibt sie geschlossen.",
    (
        "Le train de nuit pour Marseille part à vingt-deux heures quarante, voie neuf. Les couchettes "
        "doivent être réservées au plus tard la veille."
    ),
    "¿Cuánto tiempo tarda en cocerse un huevo a dos mil metros de altura?",
    "Il contratto può essere disdetto da ciascuna delle parti con un preavviso scritto di tre mesi.",
    "O rio transborda quase todos os anos em abril, quando a neve das montanhas derrete.",
    "Этот препарат нельзя принимать вместе с алкоголем; перед применением прочитайте инструкцию.",  # noqa: RUF001 - its own script
    "水は標高が高くなるほど低い温度で沸騰する。富士山の頂上ではおよそ八十八度である。",
    "图书馆周末开放时间为上午九点到下午五点，节假日另行通知。",  # noqa: RUF001 - its own script
    "이 기차는 부산까지 두 시간 사십 분 걸립니다.",
    "تفتح المكتبة أبوابها من الساعة التاسعة صباحا حتى الخامسة مساء ما عدا يوم الجمعة.",
    "यह पुस्तक पहली बार 1927 में प्रकाशित हुई थी और अब तक बीस भाषाओं में अनूदित हो चुकी है।",
    "Tàu chạy từ Hà Nội đến Huế mất khoảng mười ba tiếng.",
    (
        "def mean(values: list[float]) -> float:\n    if not values:\n        raise ValueError('no "
        "values')\n    return sum(values) / len(values)"
    ),
    "SELECT name, COUNT(*) FROM orders WHERE placed >= '2024-01-01' GROUP BY name ORDER BY 2 DESC LIMIT 10;",
    "Revenue rose by 12.4 % to EUR 3,187 million (previous year: EUR 2,835 million); EBIT margin 8.1 %.",
    (
        "Mix 250 g of flour with 5 g of salt, add 160 ml of lukewarm water, and knead for ten minutes "
        "until the dough no longer sticks. Cover it and let it rest for an hour; it should nearly "
        "double. Divide it into six pieces, roll each out thin and bake them one after the other in a "
        "dry pan until brown spots appear."
    ),
    "https://example.org/docs/index.html?lang=en#section-3",
    "symptoms of vitamin B12 deficiency in adults",
    (
        "Photosynthesis converts light into chemical energy. In plants it takes place in the "
        "chloroplasts, where chlorophyll absorbs mostly red and blue light."
    ),
    "TypeError: unsupported operand type(s) for +: 'int' and 'str'",
    "Η συνεδρίαση αναβλήθηκε για την επόμενη εβδομάδα λόγω ασθένειας του προέδρου.",  # noqa: RUF001 - its own script
    "Toplantı, başkanın hastalığı nedeniyle gelecek haftaya ertelendi.",  # noqa: RUF001 - its own script
    "Zebranie odbędzie się w czwartek o godzinie osiemnastej w sali numer 14.",
    "!!! ??? ... --- *** 12345 67890 <<>> {}[]()",
    "I am so happy with this! Best purchase this year, arrived in two days and works perfectly 😀👍",
    (
        "Pursuant to section 7(2), the tenant shall give written notice of any defect without undue "
        "delay; failing that, the tenant is liable for the damage that results."
    ),
    "a",
)
"""Texts like those that models are used on: questions and passages, many scripts, code, numbers, symbols."""


def samples(tokenizer: Tokenizer, card: ModelCard) -> Samples:
    """The built-in texts as batches by adapter. The texts take the model's tasks in turn, with their instructions."""
    limits = Limits(card.max_tokens, "end", card.max_tokens, 0)
    tasks = card.tasks or (BARE,)
    ids: dict[str | None, list[list[int]]] = {}
    for number, text in enumerate(TEXTS):
        task = tasks[number % len(tasks)]
        (sequence,) = tokenizer.sequences([Document.whole(text)], task, limits)
        ids.setdefault(task.adapter, []).append(list(sequence.ids))
    return [(adapter, _batch(sequences)) for adapter, sequences in ids.items()]


def _batch(sequences: list[list[int]]) -> Batch:
    ordered = sorted(sequences, key=len, reverse=True)
    return Batch(torch.tensor([token for sequence in ordered for token in sequence]), list(map(len, ordered)))


@dataclass
class _Watched:
    """A product that records the range of its inputs."""

    said: ClassVar[str] = "watched"
    plain: Plain
    seen: Range

    @classmethod
    def of(cls, linear: Linear) -> _Watched:
        assert isinstance(linear.product, Stored)  # noqa: S101 - it was just made
        plain = linear.product.read()
        return cls(plain, Range.empty(plain.weight.shape[1]))

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.take(x)
        return self.plain(x)

    def gelu(self, x: Tensor) -> Tensor:
        self.seen.take(x)
        return self.plain.gelu(x)

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        self.seen.take(x)
        return self.plain.add(other, x)


@dataclass
class Calibrator:
    """Converts stored layers to int8, one after the other, by running the samples through each of them in float32.

    It reads a layer in parts and quantises each part after the samples have passed it. `dtype` is the dtype of
    attention, `limit` the largest quantised weight.
    """

    samples: Samples
    dtype: torch.dtype
    limit: int
    states: list[Tensor] = field(default_factory=list)

    @torch.inference_mode()
    def __call__(self, encoder: Encoder, layer: Layer) -> Layer:
        firsts = [encoder.first(batch, adapter) for adapter, batch in self.samples]
        inputs = self.states or [h for h, _ in firsts]
        passes = list(zip(self.samples, inputs, firsts, strict=True))
        layer = _watching(layer, "qkv", "out")
        mixed = [encoder.mixed(layer, h, rotary, batch, adapter) for (adapter, batch), h, (_, rotary) in passes]
        layer = _watching(self._quantized(layer, "qkv", "out"), "up", "gate")
        inner = [encoder.inner(layer, x, adapter) for (adapter, _), x in zip(self.samples, mixed, strict=True)]
        layer = _watching(self._quantized(layer, "up", "gate"), "down")
        self.states = [
            encoder.closed(layer, x, between, adapter)
            for (adapter, _), x, between in zip(self.samples, mixed, inner, strict=True)
        ]
        return self._quantized(layer, "down")

    def _quantized(self, layer: Layer, *names: str) -> Layer:
        """The layer, with its watched products of these names quantised."""
        held = {}
        for name in names:
            linear: Linear | None = getattr(layer, name)
            if linear is not None and isinstance(watched := linear.product, _Watched):
                held[name] = replace(linear, product=self._product(layer, name, watched))
        trim_memory()
        return replace(layer, **held)  # type: ignore[arg-type]

    def _product(self, layer: Layer, name: str, watched: _Watched) -> Product:
        if name == "down":
            return Rowwise.of(watched.plain, self.limit, gated=layer.gate is not None)
        dtype = self.dtype if name == "qkv" else torch.float32
        return Calibrated.of(watched.plain, watched.seen, dtype, self.limit)


def _watching(layer: Layer, *names: str) -> Layer:
    """The layer, with its products of these names read and watched. Names that it lacks are skipped."""
    linears = {name: linear for name in names if (linear := getattr(layer, name)) is not None}
    return replace(layer, **{name: replace(one, product=_Watched.of(one)) for name, one in linears.items()})
