"""How the documentation is built; the build needs no network."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from tdecomp.testing import capabilities_table

_HERE = Path(__file__).parent
sys.path.insert(0, str(_HERE / "_ext"))

from function_table import function_table  # noqa: E402 - from the folder named above

project = "tdecomp"
author = "The tdecomp developers"
project_copyright = author
release = version = importlib.metadata.version("tdecomp-array")

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "substitution"]
myst_substitutions = {"capabilities": capabilities_table()}
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"
# The docs extra does without PyTorch; its adapter is documented all the same.
autodoc_mock_imports = [
    name for name in ("torch", "jax", "optax") if not importlib.util.find_spec(name)
]
numpydoc_show_class_members = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "doc_module": "tdecomp",
    "reference_url": {"tdecomp": None},
    "download_all_examples": False,
    "remove_config_comments": True,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    # As many examples at a time as `sphinx-build -j` says.
    "parallel": True,
}

# MathML is typeset with the OpenType font that this package of the docs extra carries.
_fonts = importlib.util.find_spec("ziamath").submodule_search_locations[0]

html_theme = "pydata_sphinx_theme"
html_title = f"tdecomp {version}"
html_math_renderer = "mathml"
html_static_path = ["_static", str(Path(_fonts) / "fonts")]
html_css_files = ["house.css"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "tdecomp"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}


def _skip_fields(*event: Any) -> bool | None:
    """Leave the fields of a named tuple to the Attributes section of its docstring."""
    member = event[3]
    return True if type(member).__name__ == "_tuplegetter" else None


def _skip_requests(*event: Any) -> bool | None:
    """Leave out the methods that scikit-learn gives each estimator: its pages describe them."""
    name = str(event[2])
    return True if name.startswith("set_") and name.endswith("_request") else None


def _close_fences(*event: Any) -> None:
    """Drop the blank line that ends a doctest in Markdown."""
    text = event[2]
    text[0] = text[0].replace("\n\n```\n", "\n```\n")


def setup(app: Sphinx) -> None:
    """Connect the hooks above."""
    # The table takes as long as a few examples, and is made beside them.
    maker = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    table = maker.submit(function_table)
    maker.shutdown(wait=False)

    def wait(*_event: Any) -> None:
        # Before pages are read: processes that read them cannot wait for one another.
        table.result()

    def insert(*event: Any) -> None:
        event[2][0] = event[2][0].replace("{{ functions }}", table.result())

    app.connect("env-before-read-docs", wait)
    app.connect("source-read", insert)
    app.connect("autodoc-skip-member", _skip_fields)
    app.connect("autodoc-skip-member", _skip_requests)
    app.connect("source-read", _close_fences)
