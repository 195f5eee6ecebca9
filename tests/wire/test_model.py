"""The table of parameters beside the model that botocore ships: the same but for what the specification says otherwise
(spec 3.0.2, 3.0.3)."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from stsd.wire.constraint_kinds import ANYTHING, Constraint, Integer, Structure, Structures, Text, Texts
from stsd.wire.parameter_table import PARAMETERS

MODEL = botocore.session.get_session().get_service_model("sts")
OTHERWISE = {
    "SourceIdentity": {"max": 256},  # live, spec 1.6
    "PolicyArns": {"max": 10},  # a quota, spec 5.5
    "PolicyArns.arn": {"required": True},  # a session policy is not dropped in silence
    "ProvidedContexts.ProviderArn": {"required": True},  # each has both, spec 3.2.10
    "ProvidedContexts.ContextAssertion": {"required": True},
}
"""Where the table is stricter or laxer than the model, by parameter or field."""


def said(shape: Any, required: bool) -> dict[str, Any]:
    """What the model says of a value."""
    ends = {"min": shape.metadata.get("min", 0), "max": shape.metadata.get("max")}
    pattern = shape.metadata.get("pattern", ANYTHING.text)
    return {"required": required, **ends, **({"pattern": pattern} if shape.type_name == "string" else {})}


def ours(each: Constraint) -> dict[str, Any]:
    """What the table says of a parameter or of a field."""
    if isinstance(each, Integer):
        return {"required": each.required, "min": each.least, "max": each.greatest}
    if isinstance(each, Structure):
        return {"required": each.required, "min": 0, "max": None}
    ends = {"min": each.shortest, "max": each.longest}
    return {"required": each.required, **ends, **({"pattern": each.pattern.text} if isinstance(each, Text) else {})}


def inside(name: str, each: Constraint, shape: Any) -> None:
    """Compare what is in a list or a structure."""
    if isinstance(each, Texts):
        assert ours(each.element) == said(shape.member, False)
    elif isinstance(each, Structures | Structure):
        within = shape.member if isinstance(each, Structures) else shape
        assert {field.name for field in each.fields} == set(within.members)
        for field in each.fields:
            modelled = said(within.members[field.name], field.name in within.required_members)
            assert ours(field) == modelled | OTHERWISE.get(f"{name}.{field.name}", {})


@pytest.mark.parametrize("action", MODEL.operation_names)
def test_parameters_are_those_of_the_model(action):
    shape = MODEL.operation_model(action).input_shape
    members = {} if shape is None else shape.members
    assert {each.name for each in PARAMETERS[action]} == set(members)
    for each in PARAMETERS[action]:
        modelled = said(members[each.name], shape is not None and each.name in shape.required_members)
        assert ours(each) == modelled | OTHERWISE.get(each.name, {}), each.name
        inside(each.name, each, members[each.name])
