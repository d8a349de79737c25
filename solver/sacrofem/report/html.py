"""What all pages share: a template filled in, and pictures inside the file."""

import base64
from dataclasses import dataclass
from pathlib import Path

import jinja2

from sacrofem.report.digits import typographic

NO_SCENE = "There are no 3-D pictures: VTK found no way to draw off-screen on this machine."


@dataclass(frozen=True)
class Picture:
    """A figure of the page: PNG data, what it shows for those who cannot see it, its caption."""

    png: bytes
    alt: str
    caption: str

    @property
    def source(self) -> str:
        """The picture as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()


def render(template: str, **values: object) -> str:
    """A template of this room as HTML; every value is escaped, a missing one is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["typographic"] = typographic
    return environment.get_template(template).render(**values)
