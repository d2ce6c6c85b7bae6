"""Statements that are no queries: which of them hold one, and which read or write whole tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from sbpgmon.judge.texts import Token, closing

Tokens = Sequence[Token]
Name = tuple[str, str]  # schema ('' for none) and name


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_QUERIES = _words("select with values table insert update delete merge (")
_NOTHING = _words(
    """set reset show begin start commit rollback abort end savepoint release lock vacuum analyze analyse create alter
    drop grant revoke comment listen unlisten notify discard deallocate execute fetch move close checkpoint reindex
    cluster refresh load security reassign import"""
)
_CODE = _words("do call")
_EXPLAIN_OPTIONS = _words(
    """analyze analyse verbose costs settings generic_plan buffers serialize wal timing summary memory format"""
)


class Kind(Enum):
    """What a statement is to the judge."""

    QUERY = "a query"
    WHOLE = "reads or writes whole tables"
    NOTHING = "touches no rows of tables"
    CODE = "runs code that cannot be seen"
    UNKNOWN = "no statement that is known"


@dataclass(frozen=True, slots=True)
class Classified:
    """A statement's kind, the query inside it, and the tables that it reads or writes as a whole."""

    kind: Kind
    tokens: Tokens = ()
    tables: tuple[Name, ...] = ()
    verb: str = ""


def classify(tokens: Tokens) -> Classified:
    """Looks at the first words of a statement; raises BrokenTextError where parentheses do not match."""
    verb = tokens[0].word or tokens[0].text
    if verb in _QUERIES:
        return Classified(Kind.QUERY, tokens)
    if verb == "explain":
        return classify_inner(tokens[_after_explain(tokens) :])
    if verb == "prepare":
        return classify_inner(_after(tokens, "as")) if _word(tokens, 1) != "transaction" else Classified(Kind.NOTHING)
    if verb == "declare":
        return classify_inner(_after(tokens, "for"))
    if verb == "create" and {"table", "materialized"} & {token.word for token in tokens[1:5]}:
        inner = _after(tokens, "as")
        return classify_inner(_without_data(inner)) if inner else Classified(Kind.NOTHING)
    if verb == "copy":
        return _copy(tokens)
    if verb == "truncate":
        return Classified(Kind.WHOLE, tables=_truncated(tokens), verb="truncate")
    if verb in _CODE:
        return Classified(Kind.CODE, tokens)
    return Classified(Kind.NOTHING if verb in _NOTHING else Kind.UNKNOWN, tokens)


def classify_inner(tokens: Tokens) -> Classified:
    """The statement inside another one."""
    return classify(tokens) if tokens else Classified(Kind.UNKNOWN)


def _word(tokens: Tokens, index: int) -> str:
    return tokens[index].word or tokens[index].text if index < len(tokens) else ""


def _after_explain(tokens: Tokens) -> int:
    index = 1
    if _word(tokens, 1) == "(" and _word(tokens, 2) in _EXPLAIN_OPTIONS:
        return closing(tokens, 1) + 1
    while _word(tokens, index) in ("analyze", "analyse", "verbose"):
        index += 1
    return index


def _after(tokens: Tokens, word: str) -> Tokens:
    """What follows this word, where it stands outside parentheses; () where it does not."""
    index = 0
    while index < len(tokens):
        if tokens[index].text == "(" and tokens[index].kind == "other":
            index = closing(tokens, index)
        elif tokens[index].word == word:
            return tokens[index + 1 :]
        index += 1
    return ()


def _without_data(tokens: Tokens) -> Tokens:
    words = [token.word for token in tokens[-3:]]
    if words[-2:] == ["with", "data"]:
        return tokens[:-2]
    return tokens[:-3] if words == ["with", "no", "data"] else tokens


def _copy(tokens: Tokens) -> Classified:
    if _word(tokens, 1) == "(":
        return classify_inner(tokens[2 : closing(tokens, 1)])
    name, index = _name(tokens, 2 if _word(tokens, 1) == "binary" else 1)
    if _word(tokens, index) == "(":
        index = closing(tokens, index) + 1
    direction = _word(tokens, index)
    if direction not in ("from", "to"):
        return Classified(Kind.UNKNOWN, tokens)
    return Classified(Kind.WHOLE, tables=(name,), verb=f"copy {direction}")


def _truncated(tokens: Tokens) -> tuple[Name, ...]:
    index = 2 if _word(tokens, 1) == "table" else 1
    names: list[Name] = []
    while index < len(tokens):
        index += _word(tokens, index) == "only"
        name, index = _name(tokens, index)
        names.append(name)
        index += _word(tokens, index) == "*"
        if _word(tokens, index) != ",":
            break
        index += 1
    return tuple(names)


def _name(tokens: Tokens, index: int) -> tuple[Name, int]:
    parts: list[str] = []
    while index < len(tokens):
        parts.append(tokens[index].name)
        index += 1
        if _word(tokens, index) != ".":
            break
        index += 1
    return (parts[-2] if len(parts) > 1 else "", parts[-1] if parts else ""), index


def sets_session_context(tokens: Tokens, setting: str | None) -> bool:
    """Whether the context setting is set for the session, and not for the transaction alone."""
    if setting is None or not tokens:
        return False
    if tokens[0].word == "set" and _sets(tokens, setting.lower()):
        return True
    return any(
        token.word == "set_config" and _word(tokens, index + 1) == "(" and _configures(tokens, index + 1, setting)
        for index, token in enumerate(tokens)
    )


def _sets(tokens: Tokens, setting: str) -> bool:
    index = 2 if _word(tokens, 1) == "session" else 1
    if _word(tokens, 1) == "local":
        return False
    words: list[str] = []
    while index < len(tokens) and _word(tokens, index) not in ("=", "to"):
        words.append(tokens[index].name or tokens[index].text)
        index += 1
    return "".join(words).lower() == setting and _word(tokens, index + 1) != "default"


def _configures(tokens: Tokens, start: int, setting: str) -> bool:
    """Whether this call of set_config sets the context, or may, for longer than the transaction, or may."""
    arguments: list[list[Token]] = [[]]
    index, end = start + 1, closing(tokens, start)
    while index < end:
        if tokens[index].text == "(" and tokens[index].kind == "other":
            inner = closing(tokens, index)
            arguments[-1] += tokens[index : inner + 1]
            index = inner
        elif tokens[index].text == "," and tokens[index].kind == "other":
            arguments.append([])
        else:
            arguments[-1].append(tokens[index])
        index += 1
    name = arguments[0][0] if arguments[0] else None
    if name is not None and name.kind == "string" and name.text.strip("'").lower() != setting.lower():
        return False
    last = arguments[2][0] if len(arguments) > 2 and arguments[2] else None
    return last is None or (last.word or last.text.lower()) not in ("true", "'t'", "'true'", "'on'", "'1'", "'yes'")
