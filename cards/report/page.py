"""The page of a report: template, style and script as one file that asks for nothing outside itself.

What may run and what may style are the two texts of this program, by their hashes in the page's own policy; nothing may
be loaded but the pictures in the page. Values are escaped by the template, the rows by `page_json`.
"""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cards.report.facts import PageFacts
from cards.report.plots import PlotGroup
from ostensive.images.region_css import mark_colours, tag_colours

_HERE: Final = Path(__file__).parent
_STYLE: Final = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def render_page(facts: PageFacts, data: str, plots: Sequence[PlotGroup]) -> str:
    """The whole page; `data` is JSON as `page_json` gives it, `plots` are drawn by this program."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style = f"{_static('report.css')}\n{tag_colours()}{mark_colours()}"
    script = _static("report.js")
    return environment.get_template("report.html.jinja").render(
        page=facts,
        policy=_policy(
            script, [style, *(found for group in plots for plot in group.plots for found in _STYLE.findall(plot))]
        ),
        style=Markup(style),  # noqa: S704 - a text of this program
        script=Markup(script),  # noqa: S704 - likewise
        plots=plots,
        data=Markup(data),  # noqa: S704 - JSON without a character that ends a script
    )


def _static(name: str) -> str:
    return (_HERE / "static" / name).read_text("utf-8")


def _policy(script: str, styles: Sequence[str]) -> str:
    """The page's Content-Security-Policy: nothing but what is in it."""
    allowed = " ".join(dict.fromkeys(_hash(style) for style in styles))
    return (
        f"default-src 'none'; script-src {_hash(script)}; style-src {allowed}; img-src data:; base-uri 'none';"
        " form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
