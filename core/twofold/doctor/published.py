"""Published vectors of known models, with which `twofold doctor` compares a checkpoint. Data only.

Source: the tests of qdrant/fastembed (Apache-2.0). They embed these texts with each model's adapter but without its
instruction, in float32, mean-pooled and scaled to unit length, and list the first five numbers to four or more digits.
"""

from __future__ import annotations

from dataclasses import dataclass

from twofold.models import Task


@dataclass(frozen=True, slots=True)
class Published:
    """The published vectors of a model for some texts.

    Attributes:
        model: the name on its card.
        task: the task that the texts are embedded with.
        texts: the texts.
        values: the first numbers of each text's unit vector.
    """

    model: str
    task: Task
    texts: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


TOLERANCES = {"float32": 1e-4, "bfloat16": 5e-3, "int8": 2e-2}
"""The allowed deviation of a number: four digits in float32, and the rounding of the other dtypes."""

TOKEN_COUNTS = {
    "jinaai/jina-embeddings-v3": ("Jina Embeddings V3 is great for semantic search.", 17),
}
"""Model -> a text, and its number of tokens without instruction, including special tokens."""

_V3_TEXTS = ("Hello World", "Follow the white rabbit.")
_V3 = {
    "retrieval.query": ((0.0623, -0.0402, 0.1706, -0.0143, 0.0617), (-0.1064, -0.0733, 0.0353, 0.0096, 0.0667)),
    "retrieval.passage": ((0.0513, -0.0247, 0.1751, -0.0075, 0.0679), (-0.0987, -0.0786, 0.09, 0.0087, 0.0577)),
    "separation": ((0.094, -0.1065, 0.1305, 0.0547, 0.0556), (0.0315, -0.1468, 0.065, 0.0568, 0.0546)),
    "classification": ((0.0606, -0.0877, 0.1384, 0.0065, 0.0722), (-0.0502, -0.119, 0.032, 0.0514, 0.0689)),
    "text-matching": ((0.0911, -0.0341, 0.1305, -0.026, 0.0576), (-0.1432, -0.05, 0.0133, 0.0464, 0.0789)),
}
_V2 = {
    "small-en": (-0.0455, -0.0428, -0.0122, 0.0613, 0.0015),
    "base-en": (-0.0332, -0.0509, 0.0287, -0.0043, -0.0077),
    "base-de": (-0.0085, 0.0417, 0.0342, 0.0309, -0.0149),
    "base-code": (0.0145, -0.0164, 0.0136, -0.0170, 0.0734),
    "base-zh": (0.0381, 0.0286, -0.0231, 0.0052, -0.0151),
    "base-es": (-0.0108, -0.0092, -0.0373, 0.0171, -0.0301),
}

PUBLISHED: tuple[Published, ...] = (
    Published(
        "sentence-transformers/all-MiniLM-L6-v2",
        Task(None),
        ("hello world",),
        ((-0.034478, 0.03102, 0.00673, 0.02611, -0.039362),),
    ),
    *(Published("jinaai/jina-embeddings-v3", Task(name, "", name), _V3_TEXTS, values) for name, values in _V3.items()),
    *(
        Published(f"jinaai/jina-embeddings-v2-{kind}", Task(None), ("hello world",), (values,))
        for kind, values in _V2.items()
    ),
)
