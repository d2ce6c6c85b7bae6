"""One statement text, cut into tokens: comments apart, and constants in a form that the parser takes anywhere.

pg_stat_statements puts `$n` where a constant stood, also where the grammar has only a constant
(`interval $1`, `date $1`, `extract($1 from …)`). A string literal may stand in all these places, so `$n` becomes
the literal `'$n'`; whether a literal was a parameter makes no difference to a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<line>--[^\n\r]*)
  | (?P<block>/\*)
  | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*')
  | (?P<string>(?:[uU]&|[bBxXnN])?'(?:[^']|'')*')
  | (?P<quoted>(?:[uU]&)?"(?:[^"]|"")*")
  | (?P<parameter>\$[0-9]+)
  | (?P<dollar>\$(?P<tag>[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*)?\$)
  | (?P<word>[A-Za-z_\x80-\U0010ffff][\w$\x80-\U0010ffff]*)
  | (?P<number>(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?|0[xXoObB][0-9a-fA-F_]+)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_EDGE = re.compile(r"/\*|\*/")
_SQUASHED = re.compile(r",\s*\.\.\.")


class BrokenTextError(ValueError):
    """A string, a quoted name or a comment has no end."""


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is a group of the pattern: word, quoted, string, parameter, number, other."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word in lower case; '' for anything else."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier as the server folds it; '' for anything else."""
        if self.kind == "word":
            return self.text.lower()
        return self.text[self.text.index('"') + 1 : -1].replace('""', '"') if self.kind == "quoted" else ""


@dataclass(frozen=True, slots=True)
class Text:
    """The tokens of a text, and what its comments say."""

    tokens: tuple[Token, ...]
    tags: tuple[str, ...]

    def statements(self) -> list[tuple[Token, ...]]:
        """The tokens of each statement, cut at semicolons; empty ones are left out."""
        found: list[tuple[Token, ...]] = []
        start = 0
        for position, token in enumerate(self.tokens):
            if token.text == ";" and token.kind == "other":
                found.append(self.tokens[start:position])
                start = position + 1
        found.append(self.tokens[start:])
        return [each for each in found if each]


def cut(sql: str) -> Text:
    """Cuts a text into tokens; raises BrokenTextError."""
    tokens: list[Token] = []
    tags: list[str] = []
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None  # `other` takes any character
        kind = match.lastgroup or ""
        position = match.end()
        if kind == "space":
            continue
        if kind == "line":
            tags.append(match[0][2:].strip())
        elif kind == "block":
            inner = position
            position = _end_of_comment(sql, position)
            tags.append(sql[inner : position - 2].strip())
        elif kind == "dollar":
            end = sql.find(match[0], position)
            if end < 0:
                raise BrokenTextError("a dollar-quoted string has no end")
            body = "'" + sql[position:end].replace("'", "''") + "'"
            position = end + len(match[0])
            tokens.append(Token("string", body, match.start(), position))
        elif kind == "other" and match[0] in "'\"":
            raise BrokenTextError("a quote has no end")
        else:
            tokens.append(Token("string" if kind == "escaped" else kind, match[0], match.start(), position))
    return Text(tuple(tokens), tuple(tag for tag in tags if tag and not _SQUASHED.fullmatch(tag)))


def _end_of_comment(sql: str, position: int) -> int:
    depth = 1
    while depth:
        edge = _EDGE.search(sql, position)
        if edge is None:
            raise BrokenTextError("a comment has no end")
        depth += 1 if edge[0] == "/*" else -1
        position = edge.end()
    return position


def rewrite(tokens: Sequence[Token]) -> str:
    """The tokens as a text for the parser: no comments, `$n` as literals, a few forms that it lacks replaced."""
    parts: list[str] = []
    end = subscripts = 0
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.start > end:
            parts.append(" ")
        subscripts += token.text == "[" and index > 0 and tokens[index - 1].text == "]"
        if subscripts > _SUBSCRIPTS:
            raise BrokenTextError("there are too many subscripts")
        skipped, replacement = _replacement(tokens, index) if token.word in _REPLACED else (0, "")
        if skipped:
            parts.append(f" {replacement} ")
        elif token.kind == "parameter":
            parts.append(f"'{token.text}'")
        elif token.text == "%" and (length := _driver_parameter(tokens, index)):
            parts.append("'$0'")
            skipped = length
        elif token.kind == "number":
            parts.append(token.text.replace("_", ""))
        else:
            parts.append(token.text)
        index += skipped or 1
        end = tokens[index - 1].end
    return "".join(parts)


_CONSTANTS = frozenset(("parameter", "string", "number"))
_BEFORE_VALUES = frozenset(
    (
        "and",
        "between",
        "else",
        "ilike",
        "interval",
        "like",
        "limit",
        "offset",
        "or",
        "returning",
        "select",
        "then",
        "when",
    )
)
_SUBSCRIPTS = 100  # in a row: the parser's time grows with their square
_REPLACED = frozenset(
    (
        "operator",
        "only",
        "overriding",
        "where",
        "repeatable",
        "some",
        "in",
        "with",
        "without",
        "null",
        "absent",
        "returning",
    )
)


def _replacement(tokens: Sequence[Token], index: int) -> tuple[int, str]:
    """How many tokens from here on give way to which text; (0, '') for none."""
    words = [token.word or token.text for token in tokens[index : index + 5]]
    words += [""] * (5 - len(words))
    match words:
        case ["operator", "(", *_]:
            end = closing(tokens, index + 1)
            return end - index + 1, "".join(token.text for token in tokens[index + 2 : end] if token.kind == "other")[
                sum(token.text == "." for token in tokens[index + 2 : end]) :
            ]
        case ["only", "(", _, ")", _]:
            return 4, f"only {tokens[index + 2].text}"
        case ["only", "(", _, ".", _]:
            end = closing(tokens, index + 1)
            return end - index + 1, "only " + "".join(token.text for token in tokens[index + 2 : end])
        case ["overriding", "system" | "user", "value", *_]:
            return 3, ""
        case ["where", "current", "of", _, *_]:
            return 4, "where ctid = '0'"
        case ["repeatable", "(", *_]:
            return closing(tokens, index + 1) - index + 1, ""
        case ["with" | "without", "array" | "wrapper", *_]:
            return words.index("wrapper") + 1, ""
        case ["with", "conditional" | "unconditional", *_] if "wrapper" in words:
            return words.index("wrapper") + 1, ""
        case ["in", "(", *_]:
            return _short_list(tokens, index)
        case ["some", "(", *_]:
            return 1, "any"
        case ["null" | "absent", "on", "null", *_]:
            return 3, ""
        case ["returning", "with", "(", *_]:
            return closing(tokens, index + 2) - index + 1, "returning"
    return 0, ""


def _driver_parameter(tokens: Sequence[Token], index: int) -> int:
    """How many tokens make up a parameter as Python's drivers write it, `%s` or `%(name)s`; 0 for none."""
    before = tokens[index - 1] if index else None
    if before is None or (before.word not in _BEFORE_VALUES and (before.kind != "other" or before.text in ")]")):
        return 0
    length = 5 if [token.text for token in tokens[index + 1 : index + 4 : 2]] == ["(", ")"] else 2
    own = tokens[index : index + length]
    is_tight = all(one.end == two.start for one, two in pairwise(own))
    return length if len(own) == length and own[-1].word == "s" and is_tight else 0


def _short_list(tokens: Sequence[Token], index: int) -> tuple[int, str]:
    """Of a long list of constants, two will do."""
    end = index + 2
    while end + 1 < len(tokens) and tokens[end].kind in _CONSTANTS and tokens[end + 1].text == ",":
        end += 2
    if end < index + 8 or end + 1 >= len(tokens) or tokens[end].kind not in _CONSTANTS or tokens[end + 1].text != ")":
        return 0, ""
    return end - index + 2, "in ('$1', '$2')"


def closing(tokens: Sequence[Token], index: int) -> int:
    """The place of the parenthesis that closes the one at `index`; raises BrokenTextError."""
    depth = 0
    for position in range(index, len(tokens)):
        if tokens[position].kind == "other":
            depth += {"(": 1, ")": -1}.get(tokens[position].text, 0)
            if depth == 0:
                return position
    raise BrokenTextError("a parenthesis is not closed")
