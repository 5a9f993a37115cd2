"""The comment lines directly above a node of a .graphql file: its documentation."""

from __future__ import annotations

import re
from typing import Final

from graphql import Node, TokenKind
from graphql.language import Token

_SENTENCE_END: Final = re.compile(r"(?<!\.[a-z])[.!?](?=\s[A-Z`\"(])")


def comment_above(node: Node) -> str:
    """Return the text of the comment lines that touch the node from above, else nothing."""
    if node.loc is None:
        return ""
    lines: list[str] = []
    line = node.loc.start_token.line
    token: Token | None = node.loc.start_token.prev
    while token is not None and token.kind is TokenKind.COMMENT and token.line == line - 1:
        lines.append((token.value or "").removeprefix(" ").rstrip())
        line = token.line
        token = token.prev
    # What stands behind code on the same line belongs to that code.
    if token is not None and lines and token.line == line and token.kind is not TokenKind.SOF:
        lines.pop()
    return "\n".join(reversed(lines))


def comment_on_top(node: Node) -> str:
    """Return the comment at the top of a file, if a blank line parts it from what follows."""
    token = node.loc.start_token.next if node.loc else None
    lines: list[str] = []
    last = 0
    while token is not None and token.kind is TokenKind.COMMENT:
        if lines and token.line != last + 1:
            return " ".join(lines)
        lines.append((token.value or "").strip())
        last = token.line
        token = token.next
    is_apart = token is not None and bool(lines) and token.line > last + 1
    return " ".join(lines) if is_apart else ""


def summary_and_description(comment: str) -> tuple[str, str]:
    """Split documentation into its first sentence and the rest."""
    first, _, rest = comment.partition("\n\n")
    joined = " ".join(first.split())
    end = _SENTENCE_END.search(joined)
    if end is None:
        return joined, rest.strip()
    return joined[: end.end()], f"{joined[end.end() :].strip()}\n\n{rest}".strip()
