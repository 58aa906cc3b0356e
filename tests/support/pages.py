"""The code of a page of Markdown, run in order: what it prints must be what the page says it prints.

- ```` ```python ````: run in one namespace for the page; a ```` ```text ```` that follows at once is its output.
- ```` ```pycon ````: a session, held to its output.
- ```` ```console ```` after `<!-- run -->`: each `$ command` in one shell for the page, held to its output.
- Any block after `<!-- file: name -->`: written to that file. The entry points of a `pyproject.toml` are then found, as
  after `pip install -e .`.

`…` in an output stands for anything, and any number of spaces for one. A block after `<!-- not run: reason -->` is left
out.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import subprocess
import tomllib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = re.compile(r"<!-- file: (\S+) -->")
NOT_RUN = re.compile(r"<!-- not run: .+ -->")
SESSION = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code: its language, its text, the line where it begins, and the comment right before it."""

    language: str
    text: str
    line: int
    mark: str

    @property
    def file(self) -> str | None:
        """The file that the block is, if the page says so."""
        found = FILE.fullmatch(self.mark)
        return found and found[1]


@dataclass(frozen=True, slots=True)
class Step:
    """A block that is run, and what a following block says that it prints."""

    block: Block
    output: str | None


def steps(page: Path) -> list[Step]:
    """What of a page is run."""
    found = [*_blocks(page.read_text("utf-8")), None]
    return [
        Step(block, after.text if after and after.language == "text" and after.mark == "after" else None)
        for block, after in pairwise(found)
        if block and _is_run(block)
    ]


def _blocks(text: str) -> Iterator[Block]:
    mark = ""
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.map:
            yield Block(token.info.partition(" ")[0], token.content, token.map[0] + 1, mark)
            mark = "after"
        elif token.type == "html_block":
            mark = token.content.strip()
        elif token.nesting >= 0:
            mark = ""


def _is_run(block: Block) -> bool:
    if NOT_RUN.fullmatch(block.mark):
        return False
    if block.file is not None:
        return True
    return block.language in ("python", "pycon") or (block.language == "console" and block.mark == "<!-- run -->")


class Page:
    """One page's namespace and shell."""

    def __init__(self, name: str) -> None:
        """Begin with nothing."""
        self._name = name
        self._names: dict[str, Any] = {"__name__": "page"}
        self._shell: subprocess.Popen[str] | None = None

    def run(self, step: Step) -> None:
        """Run one block.

        Raises:
            AssertionError: it printed something else.
        """
        where = f"{self._name}:{step.block.line}"
        if step.block.file is not None:
            _write(Path(step.block.file), step.block.text)
            return
        getattr(self, f"_run_{step.block.language}")(step, where)

    def close(self) -> None:
        """End the shell."""
        if self._shell is not None:
            self._shell.communicate()

    def _run_python(self, step: Step, where: str) -> None:
        # blank lines before it, so that a traceback names the page's own line
        code = compile("\n" * step.block.line + step.block.text, self._name, "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(code, self._names)
        if step.output is not None:
            _compare(step.output, printed.getvalue(), where)

    def _run_pycon(self, step: Step, where: str) -> None:
        examples = doctest.DocTestParser().get_doctest(
            step.block.text.replace("…", "..."), {}, where, self._name, step.block.line
        )
        examples.globs = self._names
        told = io.StringIO()
        failed, _ = doctest.DocTestRunner(optionflags=SESSION).run(examples, out=told.write, clear_globs=False)
        assert not failed, told.getvalue()

    def _run_console(self, step: Step, where: str) -> None:
        for command, output in _commands(step.block.text):
            status, printed = self._ask(command)
            assert status == 0, f"{where}: {command}: {printed}"
            _compare(output, printed, f"{where}: {command}")

    def _ask(self, command: str) -> tuple[int, str]:
        if self._shell is None:
            pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
            self._shell = subprocess.Popen(["bash"], text=True, **pipes)
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{command} </dev/null\necho end of command $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if (ended := re.fullmatch(r"(.*)end of command (\d+)\n", line)) is not None:
                return int(ended[2]), "".join([*lines, ended[1]])
            lines.append(line)
        raise AssertionError(f"the shell ended in {command}: {''.join(lines)}")


def _write(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")
    if file.name == "pyproject.toml":
        project = tomllib.loads(text)["project"]
        info = Path(f"{project['name'].replace('-', '_')}-{project['version']}.dist-info")
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n", "utf-8")
        groups = project["entry-points"].items()
        lines = [f"[{group}]\n" + "".join(f"{name} = {what}\n" for name, what in of.items()) for group, of in groups]
        (info / "entry_points.txt").write_text("\n".join(lines), "utf-8")


def _commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console, each with what it prints."""
    parts = re.split(r"^\$ (.+)\n", text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a console begins with '$ ': {parts[0]}"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def _compare(said: str, printed: str, where: str) -> None:
    said, printed = (
        "\n".join(re.sub(" +", " ", line).strip() for line in each.strip().splitlines()) for each in (said, printed)
    )
    pattern = re.escape(said).replace("…", ".*?")
    assert re.fullmatch(pattern, printed, re.DOTALL), f"{where}: the page says\n{said}\nand the code prints\n{printed}"
