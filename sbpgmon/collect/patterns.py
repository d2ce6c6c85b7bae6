"""What names have in common: a regular expression with the tenant as its group."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

_SEPARATORS = "_-."
_MIN_ROLES_SHARE = 0.5


def name_pattern(names: Sequence[str], others: Collection[str]) -> str:
    """A pattern that takes these names and none of the others; what they begin and end with alike is no tenant's.

    >>> name_pattern(["t_acme", "t_ann"], [])
    '^t_(?P<tenant>.+)$'
    >>> name_pattern(["shop1", "shop2"], [])
    '^shop(?P<tenant>[0-9]+)$'
    >>> name_pattern(["t_acme", "t_ann"], ["t_common"])
    '^t_(?!common$)(?P<tenant>.+)$'
    >>> name_pattern(["acme", "beta"], [])
    '^(?P<tenant>acme|beta)$'
    """
    front, back = _front(names), _back(names)
    middles = [name[len(front) : len(name) - len(back)] for name in names]
    if not (front or back) or not all(middles):
        return f"^(?P<tenant>{'|'.join(map(re.escape, sorted(names)))})$"
    tenant = "[0-9]+" if all(middle.isdecimal() for middle in middles) else ".+"
    head, tail = f"^{re.escape(front)}", f"{re.escape(back)}$"
    taken = [other for other in sorted(others) if re.search(f"{head}{tenant}{tail}", other)]
    if len(taken) > len(names):
        return f"{head}(?P<tenant>{'|'.join(map(re.escape, sorted(middles)))}){tail}"
    not_these = "|".join(re.escape(other[len(front) : len(other) - len(back)]) for other in taken)
    but = f"(?!(?:{not_these}){tail})" if len(taken) > 1 else f"(?!{not_these}{tail})" if taken else ""
    return f"{head}{but}(?P<tenant>{tenant}){tail}"


def role_template(roles: Mapping[str, Collection[str]]) -> str | None:
    """The name of a tenant's role with `{tenant}` in it, out of the roles of most tenants; None: there is none.

    >>> role_template({"acme": ["t_acme_app"], "beta": ["t_beta_app", "ann"]})
    't_{tenant}_app'
    """
    found: Counter[str] = Counter()
    for tenant, names in roles.items():
        templates = {
            name[: match.start()] + "{tenant}" + name[match.end() :]
            for name in names
            for match in re.finditer(re.escape(tenant), name)
        }
        found.update(templates)
    best = max(found, key=lambda template: (found[template], template), default=None)
    return best if best is not None and found[best] > len(roles) * _MIN_ROLES_SHARE else None


def _front(names: Sequence[str]) -> str:
    """What all begin with, up to a separator; or up to a number that each ends with."""
    common = _common(names)
    letters = common.rstrip("0123456789")
    if letters and all(name[len(letters) :].isdecimal() for name in names):
        return letters
    return common[: max(common.rfind(each) for each in _SEPARATORS) + 1]


def _back(names: Sequence[str]) -> str:
    common = _common([name[::-1] for name in names])[::-1]
    places = [place for each in _SEPARATORS if (place := common.find(each)) >= 0]
    return common[min(places) :] if places else ""


def _common(names: Sequence[str]) -> str:
    """What all of them begin with. The least and the greatest differ where any two do."""
    least, greatest = min(names), max(names)
    same = next((place for place, letter in enumerate(least) if greatest[place : place + 1] != letter), len(least))
    return least[:same]
