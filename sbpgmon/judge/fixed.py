"""Expressions whose value the statement fixes: parameters, literals, the context setting, and what is made of them."""

from __future__ import annotations

import re

from sqlglot import exp

_PARAMETER = re.compile(r"\$[0-9]+\Z")

# Functions of PostgreSQL that return one value, made of their arguments alone.
_PLAIN_WORDS = """
    array_cat array_remove btrim convert_from convert_to decode encode hashtext int4 int8
    jsonb_extract_path_text json_extract_path_text jsonb_extract_path json_extract_path md5 numeric
    quote_literal regexp_replace split_part string_to_array text to_char to_json to_jsonb to_number uuid uuid_in
    array_append array_prepend jsonb_object_field jsonb_object_field_text row_to_json translate ltrim rtrim
    substr concat concat_ws left right replace
"""
_PLAIN = frozenset(_PLAIN_WORDS.split())
# Functions of PostgreSQL in FROM or in a select list that return the elements of their arguments.
_ELEMENTS_WORDS = """
    unnest json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text
    json_to_recordset jsonb_to_recordset json_to_record jsonb_to_record json_populate_recordset
    jsonb_populate_recordset json_populate_record jsonb_populate_record string_to_table regexp_split_to_table
"""
_ELEMENTS = frozenset(_ELEMENTS_WORDS.split())
_MADE = (
    exp.Array, exp.Coalesce, exp.Nullif, exp.Concat, exp.ConcatWs, exp.DPipe, exp.Lower, exp.Upper, exp.Trim,
    exp.Substring, exp.Replace, exp.Left, exp.Right, exp.SplitPart, exp.StringToArray, exp.MD5, exp.Decode,
    exp.Encode, exp.Add, exp.Sub, exp.Mul, exp.Neg, exp.Greatest, exp.Least, exp.Abs, exp.RegexpReplace, exp.Tuple,
    exp.ArrayAppend, exp.ArrayConcat, exp.ArrayRemove, exp.ToChar, exp.ToNumber, exp.Pad,
)  # fmt: skip
_CONSTANTS = (
    exp.Literal, exp.Null, exp.Boolean, exp.National, exp.ByteString, exp.UnicodeString, exp.HexString, exp.BitString,
    exp.Placeholder,
)  # fmt: skip
_JSON = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)


def is_parameter(node: exp.Expr) -> bool:
    """Whether this is what `$n` was made into."""
    return isinstance(node, exp.Literal) and bool(node.args.get("is_string")) and bool(_PARAMETER.match(node.this))


def is_fixed(node: exp.Expr | None, setting: str | None) -> bool:
    """Whether the statement fixes this value, by parameters, literals and the context setting alone."""
    if isinstance(node, _CONSTANTS):
        return True
    if isinstance(node, (exp.Cast, exp.Paren, exp.Collate)):
        return is_fixed(node.this, setting)
    if isinstance(node, _JSON):
        path = node.expression
        return is_fixed(node.this, setting) and (isinstance(path, exp.JSONPath) or is_fixed(path, setting))
    if isinstance(node, exp.Subquery):
        return _is_fixed_select(node.this, setting)
    if isinstance(node, exp.Anonymous):
        if str(node.this).lower() == "current_setting":
            return is_setting(node, setting)
        return str(node.this).lower() in _PLAIN and _are_fixed(node, setting)
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        is_catalog = isinstance(node.this, exp.Identifier) and node.this.name.lower() == "pg_catalog"
        return is_catalog and is_fixed(node.expression, setting)
    return isinstance(node, _MADE) and _are_fixed(node, setting)


def _are_fixed(node: exp.Expr, setting: str | None) -> bool:
    children = [child for child in node.iter_expressions() if not isinstance(child, (exp.DataType, exp.Var))]
    return bool(children) and all(is_fixed(child, setting) for child in children)


def _is_fixed_select(node: exp.Expr, setting: str | None) -> bool:
    if not isinstance(node, exp.Select) or len(node.expressions) != 1:
        return False
    if any(node.args.get(part) for part in ("from_", "joins", "where", "group", "having", "with_", "laterals")):
        return False
    return is_fixed(node.expressions[0].unalias(), setting)


def is_setting(node: exp.Anonymous, setting: str | None) -> bool:
    """Whether `current_setting(…)` reads the context; a name that became `$n` is taken for it."""
    name = node.expressions[0] if node.expressions else None
    if not isinstance(name, exp.Literal):
        return isinstance(name, exp.Cast) and is_setting(exp.Anonymous(this="", expressions=[name.this]), setting)
    return is_parameter(name) or (setting is not None and name.name.lower() == setting.lower())


def are_elements(node: exp.Expr, setting: str | None) -> bool:
    """Whether this function returns nothing but elements of values that the statement fixes."""
    if isinstance(node, (exp.Unnest, exp.Explode)):
        children = [*node.expressions, *([node.this] if isinstance(node, exp.Explode) else [])]
        return bool(children) and all(is_fixed(child, setting) for child in children)
    if isinstance(node, exp.Anonymous) and str(node.this).lower() in _ELEMENTS:
        return all(is_fixed(child, setting) or isinstance(child, exp.Null) for child in node.expressions)
    return False
