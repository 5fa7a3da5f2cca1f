"""Typeset mathematics as MathML during the build: no script in the page, nothing fetched."""

from __future__ import annotations

import html
import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

_log = logging.getLogger(__name__)
_SYNONYM = {r"\dots": r"\ldots", r"\iff": r"\Longleftrightarrow", r"\texttt": r"\mathtt"}
_COMMAND = re.compile(r"\\[a-z]+")
_APPLICATION = re.compile(r"<mo>&ApplyFunction;</mo>(?!\s*<mo[^>]*>[(\[])")
_FENCE = re.compile(r"<mo(?: class=\"math(?:open|close)\")?>(?=[‖|⌊⌋⌈⌉⟨⟩]</mo>)")


def _typeset(node: nodes.Element, *, block: bool) -> str:
    tex = _COMMAND.sub(lambda found: _SYNONYM.get(found[0], found[0]), node.astext())
    try:
        markup = tex2mathml(tex, as_block=block)
    except (MathError, SyntaxError) as error:
        _log.warning("cannot typeset %r: %s", tex, error, location=node)
        return f"<code>{html.escape(tex)}</code>"
    markup = _APPLICATION.sub('<mspace width="0.17em"></mspace>', markup)
    # MathML stretches every fence to its row; TeX does so only after \left.
    return markup if r"\left" in tex else _FENCE.sub('<mo stretchy="false">', markup)


def _inline(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(_typeset(node, block=False))
    raise nodes.SkipNode


def _display(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math notranslate nohighlight"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(_typeset(node, block=True) + "</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer under the name ``mathml``."""
    app.add_html_math_renderer("mathml", (_inline, None), (_display, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
