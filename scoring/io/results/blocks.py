"""The HTML page as a tree, to be set as a PDF: what the page says, the PDF says, and no wording stands twice.

Reads only what `scoring/io/html.py` writes; its appendix may hold any well-formed HTML, of which the text is kept.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"br", "img", "meta", "link", "hr", "input"}
SKIPPED = {"head", "style", "script", "svg"}


@dataclass(slots=True)
class Node:
    """One element with its attributes and what is inside."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Node | str"] = field(default_factory=list)

    @property
    def classes(self) -> set[str]:
        """Names of its classes."""
        return set(self.attributes.get("class", "").split())

    def nodes(self, *tags: str) -> Iterator["Node"]:
        """Go through the elements inside, at any depth; only those of some tags when tags are given."""
        for child in self.children:
            if isinstance(child, Node):
                if not tags or child.tag in tags:
                    yield child
                yield from child.nodes(*tags)

    @property
    def text(self) -> str:
        """All text inside; a line break stays one."""
        parts = []
        for child in self.children:
            if isinstance(child, str):
                parts.append(child)
            else:
                parts.append("\n" if child.tag == "br" else child.text)
        return "".join(parts)


class _Reader(HTMLParser):
    """Builds the tree."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Node("root")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, inside the one that is open."""
        node = Node(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_endtag(self, tag: str) -> None:
        """Close an element and whatever was left open inside it."""
        tags = [node.tag for node in self._open]
        if tag in tags[1:]:
            del self._open[len(tags) - 1 - tags[::-1].index(tag) :]

    def handle_data(self, data: str) -> None:
        """Keep text; line feeds of the source are none of the page."""
        text = data.replace("\n", " ")
        if text.strip() or self._open[-1].tag in {"p", "li", "td", "th", "figcaption", "span", "b", "small"}:
            self._open[-1].children.append(text)


def read_page(page: str) -> Node:
    """Read a page and give its body, without style and scripts."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    body = next(reader.root.nodes("body"), reader.root)
    _strip(body)
    return body


def _strip(node: Node) -> None:
    """Take out what is no text."""
    node.children = [one for one in node.children if isinstance(one, str) or one.tag not in SKIPPED]
    for child in node.children:
        if isinstance(child, Node):
            _strip(child)
