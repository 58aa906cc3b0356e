"""What is in files of each kind, and what is said of one that is broken."""

from __future__ import annotations

import gzip
import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from twofold.errors import InputError
from twofold.jobs import Item, Reading, Unreadable, read_corpus
from twofold.jobs.readers import READERS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: Path, content: str | bytes, **reading: Any) -> list[Item | Unreadable]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_corpus([path.name], Reading(**reading)))


def items(path: Path, content: str | bytes, **reading: Any) -> list[tuple[str, str, dict[str, Any]]]:
    found = read(path, content, **reading)
    assert all(isinstance(item, Item) for item in found), found
    return [(item.id, item.text, dict(item.metadata)) for item in found if isinstance(item, Item)]


def test_jsonl_lines_are_documents_with_their_fields(tmp_path: Path) -> None:
    first = '{"id": "a", "text": "x", "n": 1, "ok": true, "none": null, "tags": ["é"]}'
    assert items(tmp_path / "c.jsonl", first + '\n\n{"id": 7, "text": "z"}') == [
        ("a", "x", {"n": 1, "ok": True, "tags": '["é"]'}),
        ("7", "z", {}),
    ]


def test_a_line_put_in_changes_no_other_id(tmp_path: Path) -> None:
    lines = [json.dumps({"text": text}) for text in ("one", "two", "two", "three")]
    before = {id_: text for id_, text, _ in items(tmp_path / "c.jsonl", "\n".join(lines))}
    after = {id_: text for id_, text, _ in items(tmp_path / "c.jsonl", "\n".join(['{"text": "new"}', *lines]))}
    assert len(before) == 4  # equal texts too have ids of their own
    assert after.items() >= before.items()
    assert all(id_.startswith("c.jsonl#") for id_ in after)


def test_a_line_ends_at_a_line_feed_and_nowhere_else(tmp_path: Path) -> None:
    text = "one\u2028two\u0085three\x0cfour"
    (found,) = items(tmp_path / "c.jsonl", json.dumps({"text": text}, ensure_ascii=False) + "\n")
    assert found[1] == text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not JSON"),
        ('{"text": "x", "n": NaN}', "NaN is not a JSON number"),
        ("[1]", "not a JSON object"),
        ('{"body": "x"}', "no field 'text' among 'body'"),
        ('{"text": 1}', "field 'text' is of type int, not a string"),
        ('{"text": "x", "id": ""}', "field 'id' is ''"),
        ('{"text": "x", "id": true}', "field 'id' is True"),
        ('{"text": "x", "id": null}', "field 'id' is None: expected a non-empty string or an integer"),
        ('{"text": "x", "": 1}', "metadata field ''"),
        ('{"text": "x", "twofold_document": "y"}', "is Twofold's own"),
        ('{"text": "x", "n": 1e999}', "a finite number"),
        ('{"text": "x", "n": 99999999999999999999}', "at most 64 bits"),
        (r'{"text": "x", "m": "a\ud800"}', r"field 'm' has a lone surrogate, '\ud800', at character 1"),
        (r'{"text": "x", "m": ["\udfff"]}', "field 'm' has a lone surrogate"),
        (r'{"text": "x", "\ud800": 1}', "lone surrogate"),
        (r'{"text": "x\ud800"}', "field 'text' has a lone surrogate"),
        (r'{"text": "x", "id": "\ud800"}', "field 'id' has a lone surrogate"),
        ('{"text": "x", "m": ' + "[" * 100_000 + "}", "nested too deeply"),
        (b"\xff", "not UTF-8: byte 0xff at offset 0"),
    ],
)
def test_a_bad_line_is_named_by_file_and_line_and_the_others_are_read(
    tmp_path: Path, line: str | bytes, message: str
) -> None:
    raw = line.encode() if isinstance(line, str) else line
    first, bad, last = read(tmp_path / "bad.jsonl", b'{"text": "fine"}\n' + raw + b'\n{"text": "fine, too"}\n')
    assert isinstance(first, Item)
    assert isinstance(last, Item)
    assert isinstance(bad, Unreadable)
    assert bad.id == "bad.jsonl#line=2"
    assert bad.reason.startswith("bad.jsonl, line 2: ")
    assert message in bad.reason
    assert len(bad.reason) < 500


def test_json_is_an_array_of_objects_or_one(tmp_path: Path) -> None:
    assert items(tmp_path / "a.json", '[{"id": "a", "text": "x"}, {"id": "b", "text": "y", "n": 1}]') == [
        ("a", "x", {}),
        ("b", "y", {"n": 1}),
    ]
    assert items(tmp_path / "a.json", '{"id": "a", "text": "x"}') == [("a", "x", {})]
    (bad,) = read(tmp_path / "a.json", '{"name": "package"}')
    assert isinstance(bad, Unreadable)
    assert ": no field 'text' among 'name'" in bad.reason
    (bad,) = read(tmp_path / "a.json", "{")
    assert isinstance(bad, Unreadable)
    assert "a.json: not JSON" in bad.reason


@pytest.mark.parametrize(("name", "delimiter"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "|"), ("a.tsv", "\t")])
def test_tables_by_the_names_of_their_columns(tmp_path: Path, name: str, delimiter: str) -> None:
    rows = [["id", "text", "lang", "n"], ["a", f'"one{delimiter} ""two""\nthree"', "de", "1"], ["b", "x", "", "2"]]
    assert items(tmp_path / name, "\n".join(delimiter.join(row) for row in rows)) == [
        ("a", f'one{delimiter} "two"\nthree', {"lang": "de", "n": "1"}),
        ("b", "x", {"n": "2"}),
    ]


def test_other_columns_can_be_the_text_and_the_id(tmp_path: Path) -> None:
    found = items(tmp_path / "a.csv", "key,body,text\nk,the body,no\n", text_field="body", id_field="key")
    assert found == [("k", "the body", {"text": "no"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,n\nx,1,2\n", "line 2: more cells than the first row has columns"),
        ("body,n\nx,1\n", "no field 'text' among 'body', 'n'"),
        ('text\n"x', "is not CSV"),
        (b"text\n\xe9\n", "not UTF-8"),
    ],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, content: str | bytes, message: str) -> None:
    (bad,) = read(tmp_path / "a.csv", content)
    assert isinstance(bad, Unreadable)
    assert "a.csv" in bad.reason
    assert message in bad.reason


def test_a_cell_may_be_longer_than_the_standard_library_likes(tmp_path: Path) -> None:
    ((_, text, _),) = items(tmp_path / "a.csv", "text\n" + "word " * 50_000)
    assert len(text) == 250_000


def test_parquet_keeps_the_types_of_its_columns(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2], "text": ["one", None], "n": [1.5, None], "tags": [["a"], []]})
    sink = BytesIO()
    pq.write_table(table, sink)
    assert items(tmp_path / "a.parquet", sink.getvalue()) == [
        ("1", "one", {"n": 1.5, "tags": '["a"]'}),
        ("2", "", {"tags": "[]"}),
    ]
    (bad,) = read(tmp_path / "a.parquet", sink.getvalue()[:-20])
    assert isinstance(bad, Unreadable)
    assert "not Parquet" in bad.reason


PAGE = """<!doctype html><html><head><title> The
 page </title><style>p {color: red}</style></head><body><nav><a href="/">Home</a></nav>
<h1>Heading</h1><script>alert("no")</script><p>One <b>two</b> three,<br>four&nbsp;five &lt;six&gt;.</p>
<ul><li>first</li><li>second</li></ul></body></html>"""


def test_html_is_what_is_read_on_the_page(tmp_path: Path) -> None:
    text = "Home\nHeading\nOne two three,\nfour five <six>.\nfirst\nsecond"
    assert items(tmp_path / "a.html", PAGE) == [("a.html", text, {"title": "The page"})]


def test_html_says_its_own_encoding(tmp_path: Path) -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body>né</body></html>'.encode("latin-1")
    assert items(tmp_path / "a.html", page) == [("a.html", "né", {})]
    assert items(tmp_path / "b.html", "<p>ж</p>".encode("koi8-r"), encoding="koi8-r") == [("b.html", "ж", {})]


def test_html_may_be_nested_deeply(tmp_path: Path) -> None:
    ((_, text, _),) = items(tmp_path / "a.html", "<div>" * 20_000 + "found" + "</div>" * 20_000)
    assert text == "found"


def pdf(*pages: str) -> bytes:
    """A small PDF with these texts, one a page."""
    writer = pypdf.PdfWriter()
    for text in pages:
        page = writer.add_blank_page(200, 200)
        stream = pypdf.generic.DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 20 100 Td ({text}) Tj ET".encode())
        font = pypdf.generic.DictionaryObject(
            {
                pypdf.generic.NameObject(key): pypdf.generic.NameObject(value)
                for key, value in (("/Type", "/Font"), ("/Subtype", "/Type1"), ("/BaseFont", "/Helvetica"))
            }
        )
        fonts = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/F1"): font})
        resources = pypdf.generic.DictionaryObject({pypdf.generic.NameObject("/Font"): fonts})
        page[pypdf.generic.NameObject("/Resources")] = resources
        page[pypdf.generic.NameObject("/Contents")] = stream
    writer.add_metadata({"/Title": "Ships"})
    stream_out = BytesIO()
    writer.write(stream_out)
    return stream_out.getvalue()


def test_a_page_of_a_pdf_is_a_document(tmp_path: Path) -> None:
    fields = {"pages": 2, "title": "Ships"}
    assert items(tmp_path / "a.pdf", pdf("nine ships", "ten ships")) == [
        ("a.pdf#page=1", "nine ships", {"page": 1, **fields}),
        ("a.pdf#page=2", "ten ships", {"page": 2, **fields}),
    ]


def test_a_pdf_that_needs_a_password_says_so(tmp_path: Path) -> None:
    writer = pypdf.PdfWriter(clone_from=pypdf.PdfReader(BytesIO(pdf("x"))))
    writer.encrypt("secret", algorithm="RC4-128")
    sink = BytesIO()
    writer.write(sink)
    (bad,) = read(tmp_path / "a.pdf", sink.getvalue())
    assert isinstance(bad, Unreadable)
    assert bad.reason == "a.pdf: it needs a password"


def test_what_is_gzipped_is_read_by_the_ending_before(tmp_path: Path) -> None:
    assert items(tmp_path / "a.txt.gz", gzip.compress(b"text")) == [("a.txt.gz", "text", {})]
    found = items(tmp_path / "a.jsonl.gz", gzip.compress(b'{"id": "x", "text": "y"}'))
    assert found == [("x", "y", {})]
    for broken in (gzip.compress(b"some text" * 99)[:-12], b"no gzip", b"\x1f\x8b\x08\x00" + b"\xff" * 40):
        (bad,) = read(tmp_path / "a.txt.gz", broken)
        assert isinstance(bad, Unreadable)
        assert bad.reason.startswith("a.txt.gz: ")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(READERS)), content=st.binary(max_size=300) | st.text(max_size=200))
def test_whatever_is_in_a_file_it_is_read_or_refused(tmp_path: Path, name: str, content: Any) -> None:
    check_odd(tmp_path / f"odd{name}", content)


WORDS = st.sampled_from(
    ['{"text": ', '"x"', "[", "]", "{", "}", ",", "\n", "null", "text", '"id": ', "<p>", "%PDF-1.7", "\x00"]
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(READERS)), words=st.lists(WORDS, max_size=12))
def test_whatever_nearly_is_a_file_of_its_kind_too(tmp_path: Path, name: str, words: list[str]) -> None:
    check_odd(tmp_path / f"odd{name}", "".join(words))


def check_odd(path: Path, content: str | bytes) -> None:
    """Every document has an id and a text, everything else a reason on one line that names the file."""
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    try:
        found = read(path, raw)
    except InputError as error:
        pytest.fail(f"{error} was not told in its place")
    for item in found:
        if isinstance(item, Item):
            assert item.id.encode()
            assert item.text.encode() is not None
            json.dumps(dict(item.metadata), allow_nan=False)
        else:
            assert path.name in item.reason
            assert len(item.reason.splitlines()) == 1
