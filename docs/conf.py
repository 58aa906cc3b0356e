"""How the documentation is built: `make docs`, in strict mode, without a network."""

import warnings
from importlib import import_module
from importlib.metadata import version as version_of
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import GoogleDocstring

project = "Twofold"
author = "The Twofold authors"
copyright = author  # noqa: A001 - Sphinx's word
version = release = version_of("twofold")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]

# A reference that leads nowhere fails the build. Names without one of our packages are other libraries', which are not
# asked, or aliases of types.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!(twofold|\w+_twofold)\.).*"),
    (r"py:.*", r"(twofold|\w+_twofold)\.(\w+\.)*_?[a-z]\w*\.\w+"),  # not public: what a public class is made of
]
default_role = "code"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = "Twofold"
html_copy_source = False
html_show_sphinx = False

DOCSTRINGS: Any = Config(napoleon_use_rtype=False)

for package in ("chroma_twofold", "langchain_twofold", "llama_index_twofold", "weaviate_twofold"):
    import_module(package)  # before autodoc, which would set TYPE_CHECKING meanwhile; LlamaIndex cannot bear that


def read_sections(app: Sphinx, what: Any, name: str, obj: Any, _options: Any, lines: list[str]) -> None:
    """Args, Raises and so on, in Google's style; a property's first words before a colon are no type."""
    if what not in ("attribute", "property", "data"):
        lines[:] = GoogleDocstring(lines, DOCSTRINGS, app, what, name, obj).lines()


def setup(app: Sphinx) -> None:
    """Connect what is ours."""
    warnings.filterwarnings("ignore", module="myst_parser")  # it speaks to Sphinx in ways that Sphinx 11 will not know
    app.connect("autodoc-process-docstring", read_sections)
