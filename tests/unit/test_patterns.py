"""What names have in common."""

from __future__ import annotations

import re

import pytest

from sbpgmon.collect.patterns import name_pattern, role_template


@pytest.mark.parametrize(
    ("names", "others", "pattern"),
    [
        (["t_acme", "t_ann", "t_a"], ["public"], "^t_(?P<tenant>.+)$"),
        (["t_alpha", "t_alto", "t_alum"], [], "^t_(?P<tenant>.+)$"),
        (["acme_data", "beta_data", "c_data"], [], "^(?P<tenant>.+)_data$"),
        (["app_acme_v1", "app_beta_v1"], [], "^app_(?P<tenant>.+)_v1$"),
        (["tenant1", "tenant12", "tenant120"], ["tenants"], "^tenant(?P<tenant>[0-9]+)$"),
        (["t_1", "t_12"], ["t_x"], "^t_(?P<tenant>[0-9]+)$"),
        (["acme", "beta", "gamma"], ["public"], "^(?P<tenant>acme|beta|gamma)$"),
        (["t_a", "t_b", "t_c"], ["t_common"], "^t_(?!common$)(?P<tenant>.+)$"),
        (["t_a", "t_b", "t_c"], ["t_x", "t_y"], "^t_(?!(?:x|y)$)(?P<tenant>.+)$"),
        (["t_a", "t_b"], ["t_x", "t_y", "t_z"], "^t_(?P<tenant>a|b)$"),
        (["t.a", "t.b"], ["tea"], r"^t\.(?P<tenant>.+)$"),
        (["x-one", "x-two"], [], r"^x\-(?P<tenant>.+)$"),
        (["a_a", "a_a_a"], [], "^(?P<tenant>a_a|a_a_a)$"),
    ],
)
def test_a_pattern_takes_these_names_and_no_others(names: list[str], others: list[str], pattern: str) -> None:
    found = name_pattern(names, others)
    assert found == pattern
    assert all(re.search(found, name) for name in names)
    assert not [other for other in others if re.search(found, other)]


@pytest.mark.parametrize(
    ("roles", "template"),
    [
        ({"acme": ["t_acme_app"], "beta": ["t_beta_app", "ann"], "gamma": []}, "t_{tenant}_app"),
        ({"a": ["app_a"], "p": ["app_p"]}, "app_{tenant}"),
        ({"acme": ["app"], "beta": []}, None),
        ({"acme": ["acme_rw"], "beta": [], "gamma": []}, None),
        ({}, None),
    ],
)
def test_a_role_of_each_tenant(roles: dict[str, list[str]], template: str | None) -> None:
    assert role_template(roles) == template
