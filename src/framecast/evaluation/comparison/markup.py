"""HTML as trees: what goes in is escaped when it comes out, and every element is closed."""

import base64
import io
from collections.abc import Iterable
from importlib import resources
from xml.etree.ElementTree import Element, tostring

from PIL import Image

Child = Element | str | None
GENERATOR = "framecast compare"
"""What pages of tables say they were made by."""


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: object) -> Element:
    """An element.

    Args:
        name: Of the element.
        children: Elements, texts, or several of them; None is left out.
        attributes: By name, `class_` for `class` and `data_x` for `data-x`; None and False are left
            out, True is an attribute without value.
    """
    found = {
        key.rstrip("_").replace("_", "-"): "" if value is True else str(value)
        for key, value in attributes.items()
        if value is not None and value is not False
    }
    element = Element(name, found)
    for child in children:
        for each in [child] if isinstance(child, str | Element) or child is None else child:
            _append(element, each)
    return element


def page(
    title: str,
    style: str,
    *body: Child,
    script: str | None = None,
    generator: str = GENERATOR,
) -> str:
    """A whole document that loads nothing.

    Args:
        title: Of the window.
        style: CSS.
        body: What it shows.
        script: JavaScript, which runs when all is there.
        generator: What made it.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content=generator),
        tag("title", title),
        tag("style", style),
    )
    code = None if script is None else tag("script", script)
    document = tag("html", head, tag("body", *body, code), lang="en")
    return "<!DOCTYPE html>\n" + tostring(document, encoding="unicode", method="html") + "\n"


def asset(name: str) -> str:
    """A style sheet or a script that stands beside this module."""
    return resources.files("framecast.evaluation.comparison").joinpath(name).read_text("utf-8")


def embedded(image: Image.Image) -> str:
    """A picture as an address that holds all of it."""
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _append(element: Element, child: Child) -> None:
    if child is None:
        return
    if isinstance(child, Element):
        element.append(child)
    elif len(element):
        element[-1].tail = (element[-1].tail or "") + child
    else:
        element.text = (element.text or "") + child
