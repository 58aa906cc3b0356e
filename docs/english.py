"""Finds words of our old dialect in what people read: pages, docstrings, comments and messages.

    python docs/english.py [FILE …]

It prints each place with a plainer wording, and exits with 1 if it found any. It knows a few dozen expressions. It does
not replace reading: CONTRIBUTING.md says how we write.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).parents[1]
WHERE = (
    "*.md",
    "core/*.py",
    "integrations/*.py",
    "benchmarks/*.py",
    "docs/*.py",
    "examples/*.py",
    "Makefile",
    "*.toml",
)
UNCHECKED = {"CHANGELOG.md", "docs/english.py", "core/twofold/local/calibration.py"}  # which has sample texts

DIALECT = {
    # Subject, verb, object.
    r"(?<!there )\bis no (?!longer\b|more\b|less\b|need\b|way\b|different\b|use\b)": "say what it is: 'is not a …'",
    r"\b(?:that|which|where|what|who) (?:is|are|was|were) there\b(?! an?\b)": "'existing', 'present', 'installed'",
    r"\b(?:is|are) not there\b": "'is missing', 'does not exist'",
    r"\b(?:is|are) there (?:already|twice|once)\b": "'already exists', 'occurs twice'",
    r"\bthat (?:is|are) none\b": "'is not a …', 'unknown', 'invalid'",
    r"\bwhere (?:there|it|one|he|they) (?:is|are|has|have) none\b": "'if there is none', 'without …'",
    r"\bha(?:s|ve|d) (?:not|no) (?:the|a|any)\b": "'does not have', 'lacks'",
    r"\bwhat (?:it|they|he|she|we|one) ha(?:s|ve) not\b": "'what is missing'",
    r"\bmay not (?:be|name|hold|go)\b": "'must not', 'cannot'",
    r"\bmay go\b": "'can be removed'",
    r"\b(?:is|are) said\b": "'is reported', 'is documented', 'the message says'",
    r"\bsays? so\b": "'reports it', 'warns'",
    r"\bit is so\b": "'OK'",
    r"\b(?:is|are|was|were|to) be had\b|\bcannot be had\b": "'is available'",
    r"\bis to be\b|\bare to be\b": "'must be', 'will be'",
    r"\b(?:by its|of its|of their|of one's|of your) own\b": "'its own …', 'your own …', 'custom'",
    r"\bof (?!Twofold's own)[A-Z][A-Za-z]+'s\b(?= *(?:[,.;:)]|and\b|or\b|$))": "'from Chroma', 'a Chroma client'",
    r"\ba (?:client|store|function|server|class) of [A-Z][A-Za-z]+'s\b": "'a Chroma client'",
    # Words.
    r"\banew\b": "'again'",
    r"\bshall\b": "'should', 'will'",
    r"\bthereof\b|\bwherein\b|\bwhereof\b|\bthereby\b": "a plain word",
    r"\bhungry\b|\bstarv(?:e|ed|ing)\b": "do not personify code",
    r"\bsuffic(?:e|es)\b": "'is enough'",
    r"\blikewise\b": "'also', 'the same'",
    r"\bwherever\b(?= (?:it|they) (?:is|are) )": "'if'",
    r"\bmakes? of (?:it|them|this)\b": "'computes from'",
    r"\blets? in\b": "'accepts'",
    r"\blook(?:s|ed)? over\b": "'lists', 'inspects'",
    r"\bwing\b|\bthe house\b|\bin our house\b": "'part', 'code base'",
    r"\b(?:two|public|same|plain|own|other|one|of the) faces?\b": "'interface', 'API'",
    r"\bready[- ]made\b": "'precomputed'",
    r"\btaken? in\b|\btakes? in\b": "'adopt', 'accept'",
    r"\bheld against\b|\bhold(?:s)? .{1,30} against\b": "'compare with'",
    r"\bthe like\b": "'similar'",
    r"\bin the meantime\b": "'meanwhile'",
    r"\bwhither\b|\bwhence\b|\bwhereupon\b": "a plain word",
    r"^See `[^`]+`\.$": "a docstring that says nothing: delete it",
}
PATTERNS = [(re.compile(pattern, re.IGNORECASE), advice) for pattern, advice in DIALECT.items()]
STRINGS = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def prose_of_page(text: str) -> Iterator[tuple[int, str]]:
    """The lines of a Markdown page outside its code blocks, numbered."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, re.sub(r"`[^`]*`", "`…`", line)


def prose_of_code(text: str) -> Iterator[tuple[int, str]]:
    """The comments of a Python file and its strings of several words, docstrings too, numbered by line."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT or (token.type in STRINGS and " " in token.string):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line


def findings(name: str, text: str) -> Iterator[str]:
    """Each place of a file that uses an expression of the list, with the advice for it."""
    if name.endswith(".py"):
        ast.parse(text)
        lines: Iterable[tuple[int, str]] = prose_of_code(text)
    elif name.endswith(".md"):
        lines = prose_of_page(text)
    else:
        lines = ((number, line) for number, line in enumerate(text.splitlines(), 1) if "#" in line)
    for number, line in lines:
        for pattern, advice in PATTERNS:
            if found := pattern.search(line):
                yield f"{name}:{number}: {found[0].strip()!r}: write {advice}"


def main(names: list[str]) -> int:
    """Check the named files, or every file of the repository that people read."""
    if not names:
        command = ["git", "ls-files", *WHERE]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - fixed words
        names = [name for name in listed.stdout.split() if name not in UNCHECKED]
    found = [line for name in names for line in findings(name, (ROOT / name).read_text("utf-8"))]
    sys.stdout.writelines(line + "\n" for line in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
