"""The template: sound by CloudFormation's schemas and SAM's translation; few rights."""

import ast
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
from door_server import INFRA, VARIABLES

TEMPLATE = INFRA / "template.yaml"
OF_THE_RUNTIME = {"logs:CreateLogStream", "logs:PutLogEvents"}  # Lambda's own, not the handler's
TAGLESS = {  # kinds that take none
    "AWS::ApiGatewayV2::Integration",
    "AWS::ApiGatewayV2::Authorizer",
    "AWS::ApiGatewayV2::Route",
    "AWS::Lambda::Permission",
}


@pytest.fixture(scope="session")
def template() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cfnlint.decode import decode
    decoded, problems = decode(str(TEMPLATE))
    assert not problems
    plain: dict[str, Any] = json.loads(json.dumps(decoded))
    return plain


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    """What CloudFormation makes of it, by SAM's own translator."""
    import os

    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")
    from samtranslator.translator.transform import transform

    class NoPolicies:
        def load(self) -> dict[str, str]:
            return {}

    translated = transform(json.loads(json.dumps(template)), {}, NoPolicies())
    made: dict[str, Any] = translated["Resources"]
    return made


def test_cfn_lint_has_nothing_to_say() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from cfnlint.api import ManualArgs, lint_file
    found = lint_file(TEMPLATE, config=ManualArgs(regions=["eu-west-1"]))
    assert [str(it) for it in found] == []


def test_it_fits_into_a_request() -> None:
    assert len(TEMPLATE.read_bytes()) < 51_200 and TEMPLATE.read_text().isascii()


def test_the_function_is_ours_and_gives_up_before_the_gateway(resources: dict[str, Any]) -> None:
    function = resources["Function"]["Properties"]
    module, name = function["Handler"].rsplit(".", 1)
    assert f"def {name}(" in (INFRA / (module.replace(".", "/") + ".py")).read_text()
    assert function["Runtime"].startswith("python3.")
    waits = resources["Integration"]["Properties"]
    assert function["Timeout"] * 1000 < waits["TimeoutInMillis"] <= 30_000
    assert set(function["Environment"]["Variables"]) == set(VARIABLES)


def test_every_resource_that_can_has_the_projects_tag(resources: dict[str, Any]) -> None:
    for name, it in resources.items():
        tags = json.dumps(it["Properties"].get("Tags", ""))
        assert ("facegan:project" in tags) == (it["Type"] not in TAGLESS), name


def test_every_parameter_that_is_free_text_has_a_pattern(template: dict[str, Any]) -> None:
    for name, it in template["Parameters"].items():
        limits = {"AllowedPattern", "AllowedValues", "MaxValue"} & set(it)
        assert limits or it["Type"] == "CommaDelimitedList", name
        assert it["Description"]


def statements(role: dict[str, Any]) -> list[dict[str, Any]]:
    policies = [it.get("Fn::If", [None, it])[1] for it in role["Properties"]["Policies"]]
    return [one for it in policies for one in it["PolicyDocument"]["Statement"]]


def test_the_role_may_do_what_the_function_calls_and_no_more(template: dict[str, Any]) -> None:
    called = set()
    for file in (INFRA / "face_api").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called.add(node.func.attr)
    calls = {"sagemaker:InvokeEndpoint": "invoke_endpoint"}
    calls["secretsmanager:GetSecretValue"] = "get_secret_value"
    allowed: set[str] = set()
    for one in statements(template["Resources"]["Role"]):
        actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
        allowed |= set(actions)
        assert "*" not in "".join(actions)
        assert one["Effect"] == "Allow" and one["Resource"] != "*"
    assert allowed == set(calls) | OF_THE_RUNTIME
    assert set(calls.values()) <= called


def test_the_role_reaches_one_endpoint(template: dict[str, Any]) -> None:
    (asks,) = [
        it
        for it in statements(template["Resources"]["Role"])
        if it["Action"] == "sagemaker:InvokeEndpoint"
    ]
    assert asks["Resource"]["Fn::Sub"].endswith(":endpoint/${EndpointLowerName}")


def test_every_route_is_locked_where_tokens_are_asked(resources: dict[str, Any]) -> None:
    routes = [it["Properties"] for it in resources.values() if it["Type"].endswith("V2::Route")]
    assert {it["RouteKey"] for it in routes} == {
        "GET /faces/{face}", "HEAD /faces/{face}", "POST /faces",
    }  # fmt: skip
    for it in routes:
        assert it["AuthorizationType"] == {"Fn::If": ["HasJwt", "JWT", "NONE"]}


def test_the_function_needs_no_more_than_the_runtime_has() -> None:
    import sys

    for file in (INFRA / "face_api").glob("*.py"):
        for name in re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE):
            room = name.partition(".")[0]
            assert room in {*sys.stdlib_module_names, "face_api", "boto3", "botocore"}, file


def test_no_account_region_or_key_is_written_down() -> None:
    for file in [TEMPLATE, *Path(INFRA).rglob("*.py")]:
        text = file.read_text()
        assert not re.search(r"\b\d{12}\b|AKIA|\b(eu|us|ap)-[a-z]+-\d\b", text), file
