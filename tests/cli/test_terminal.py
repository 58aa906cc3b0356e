"""What reaches a terminal, a pipe, or a console that has few characters; and what a start loads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from twofold.cli.app import COMMANDS, LazyCommands
from twofold.cli.say import plain

if TYPE_CHECKING:
    from cli.conftest import Run

EVIL = "\x1b[2Jwiped \x1b]0;title\x07 \x9b31m red\u202eesrever\r\x08\x00 end"


def run(*arguments: str, encoding: str = "utf-8", **options: object) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    return subprocess.run(  # type: ignore[call-overload, no-any-return] # any option of it
        [sys.executable, "-m", "twofold", *arguments],
        capture_output=True,
        check=False,
        timeout=120,
        env=environment,
        **options,
    )


def test_nothing_that_controls_a_terminal_is_left() -> None:
    every = [*map(chr, range(0x10000)), "\U00010000", chr(sys.maxunicode)]
    for text in ("".join(every), *every[:256]):  # ASCII alone takes a shorter way
        shown = plain(text)
        assert not any((ord(one) < 32 and one not in "\n\t") or 127 <= ord(one) < 160 for one in set(shown))
        assert not set(shown) & {*map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A)))}
        shown.encode()
        assert plain(shown) == shown


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_what_documents_hold_is_shown_as_text(twofold: Run, tmp_path: Path, as_json: list[str]) -> None:
    corpus = tmp_path / "evil.jsonl"
    corpus.write_text(json.dumps({"id": EVIL, "text": EVIL, "field": EVIL}) + "\n")
    store = ("--store", "chroma:store", "--collection", "notes")
    assert twofold("index", str(corpus), *store, "--model", "fake:")[0] == 0
    code, out, _ = twofold("search", "wiped", *store, *as_json)
    assert code == 0
    assert "wiped" in out
    assert plain(out) == out
    if as_json:
        (hit,) = json.loads(out)
        assert (hit["id"], hit["text"], hit["metadata"]) == (EVIL, EVIL, {"field": EVIL})


def test_errors_show_them_as_text_too(twofold: Run, tmp_path: Path) -> None:
    corpus = tmp_path / "evil.jsonl"
    corpus.write_text(json.dumps({"id": EVIL, "text": "word " * 600}) + "\n")
    code, _, err = twofold("embed", "--file", str(corpus), "--model", "fake:")
    assert code == 2
    assert "has 600 tokens" in err
    assert plain(err) == err


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_of_few_characters_gets_escapes(twofold: Run, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("ein Schiff → 東京", "utf-8")
    store = ("--store", f"chroma:{tmp_path / 'store'}", "--collection", "notes")
    assert twofold("index", str(tmp_path / "a.txt"), *store, "--model", "fake:", encoding=encoding)[0] == 0
    code, out, err = twofold("search", "Schiff", *store, encoding=encoding)
    assert (code, "Traceback" in err) == (0, False)
    assert r"Schiff \u2192 \u6771" in out
    (hit,) = json.loads(twofold("search", "Schiff", *store, "--json", encoding=encoding)[1])
    assert hit["text"] == "ein Schiff → 東京"


def test_a_process_takes_the_encoding_of_its_console() -> None:
    ran = run("embed", "--model", "fake:", "--file", "東京", encoding="ascii")
    assert (ran.returncode, b"Traceback" in ran.stderr) == (2, False)
    assert rb"\u6771\u4eac" in ran.stderr


@pytest.mark.skipif(os.name == "nt", reason="shells differ")
@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("embed --model fake: <&-", 2, "standard input is closed"),
        ("embed x --model fake: >&-", 1, "standard output is closed"),
        ("models >/dev/full", 1, "No space left"),
        ("embed x --model fake: >/dev/full", 1, "No space left"),
        ("models 2>&-", 0, ""),
        ("models | head -1", 0, ""),
    ],
)
def test_closed_and_full_streams(line: str, code: int, said: str) -> None:
    ran = subprocess.run(
        f"{sys.executable} -m twofold {line}", shell=True, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("width", ["60", "80", "200"])
def test_help_cuts_nothing(twofold: Run, monkeypatch: pytest.MonkeyPatch, width: str) -> None:
    monkeypatch.setenv("COLUMNS", width)
    for name, help_flag in (("index", "-h"), ("search", "--help")):
        code, out, _ = twofold(name, help_flag)
        assert code == 0
        shown = "".join(out.split())  # lines may end within an address
        for parameter in LazyCommands()[name].params:
            assert "".join(parameter.help.split()) in shown  # type: ignore[attr-defined] # options and arguments have it
            assert parameter.opts[0] in shown


def test_the_list_of_commands_is_whole(twofold: Run) -> None:
    words = " ".join(twofold("--help")[1].split())
    for name, place in COMMANDS.items():
        assert f"{name} {place.help}" in words


def test_help_and_version_load_no_command_and_no_numpy() -> None:
    script = "import sys\nfrom twofold.cli import main\n"
    for flag in ("--help", "--version"):
        script += f"sys.argv = ['twofold', '{flag}']\ntry: main()\nexcept SystemExit: pass\n"
    script += "print(sorted({'numpy', 'torch', 'chromadb', 'rich', 'httpx', 'twofold.cli.embed'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "Usage: twofold" in loaded.stdout
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_a_question_without_a_local_model_loads_no_torch(notes: tuple[str, ...]) -> None:
    flags = [*notes, "--collection", "notes"]
    script = f"import sys; sys.argv = ['twofold', 'search', 'ships', *{flags!r}]\nfrom twofold.cli import main\n"
    script += "try: main()\nexcept SystemExit: pass\n"
    script += "print(sorted({'torch', 'matplotlib', 'pyarrow', 'bs4', 'pypdf', 'transformers'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert "ships" in loaded.stdout
    assert loaded.stdout.splitlines()[-1] == "[]"


def test_the_version_and_the_module() -> None:
    from twofold import __version__

    assert run("--version").stdout.decode() == f"twofold {__version__}\n"


@pytest.mark.parametrize(
    ("words", "expected"), [("twofold in", {"index", "info"}), ("twofold embed --trun", {"--truncate"})]
)
def test_a_shell_can_complete(twofold: Run, monkeypatch: pytest.MonkeyPatch, words: str, expected: set[str]) -> None:
    monkeypatch.setenv("_TWOFOLD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - 1))
    assert set(twofold()[1].split()) == expected


def test_the_installed_script_completes_too() -> None:
    words = {"_TWOFOLD_COMPLETE": "complete_bash", "COMP_WORDS": "twofold in", "COMP_CWORD": "1"}
    script = [Path(sys.executable).with_name("twofold")]
    ran = subprocess.run(script, capture_output=True, check=False, env={**os.environ, **words}, timeout=60)
    assert set(ran.stdout.split()) == {b"index", b"info"}
