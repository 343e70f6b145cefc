"""Least privilege: what template.yaml allows on everything, and how a call is judged by a role."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.permissions import Statement, requests
from local.template import load, to_cloudformation

ROOT = Path(__file__).parents[2]
TRANSFORMED, _ = to_cloudformation(load(ROOT / "template.yaml"), {"Engine": "bedrock-agent"}, ROOT)
RESOURCES: dict[str, dict[str, Any]] = TRANSFORMED["Resources"]

ON_EVERYTHING = {
    "AnswerTasks": "Step Functions has no resource for an answer: the token names the task",
    "HandleCaseRole": "log delivery has no resources",
    "ServeDeskFunctionRole": "nor has a heartbeat",
    "DataKey": "in a key's own policy * is that key",
}
AWS_POLICIES = {
    "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole",
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess",
}
WHERE = "us-east-1:123456789012"


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every Allow statement of an identity's or a key's policy, with the resource it stands in."""
    for name, resource in RESOURCES.items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] in ("AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"):
            documents.append(properties["PolicyDocument"])
        if "KeyPolicy" in properties:
            documents.append(properties["KeyPolicy"])
        for document in documents:
            yield from ((name, each) for each in document["Statement"] if each["Effect"] == "Allow")


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_what_is_allowed_on_everything_has_its_reason() -> None:
    unlimited = {name for name, each in statements() if "*" in many(each["Resource"])}
    assert unlimited == ON_EVERYTHING.keys()


def test_no_action_is_a_whole_service() -> None:
    for name, statement in statements():
        for action in many(statement["Action"]):
            # The account's own right to administer its key; SAM's template for sending to a queue.
            if (name, action) == ("DataKey", "kms:*") or action == "sqs:SendMessage*":
                continue
            assert "*" not in action or name == "DataKey", f"{name} allows {action}"


def test_history_and_files_are_deleted_by_nobody_but_to_forget_a_case() -> None:
    for name, statement in statements():
        actions = set(many(statement["Action"]))
        assert not actions & {"s3:DeleteObject", "dynamodb:Scan"}, name
        if "s3:DeleteObjectVersion" in actions:
            assert name == "ServeDeskFunctionRole"
        if "dynamodb:DeleteItem" in actions and name != "KeepClaims":
            assert name == "ServeDeskFunctionRole"
            # A conversation's row, which says that a case belongs to it; never a row of a case.
            keys = statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
            assert keys == ["*#thread#*"]


def test_roles_hold_two_policies_of_aws_and_not_too_many() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::IAM::Role":
            attached = resource["Properties"].get("ManagedPolicyArns", [])
            assert {arn for arn in attached if isinstance(arn, str)} <= AWS_POLICIES, name
            assert len(attached) <= 10, "IAM attaches ten"


@pytest.mark.parametrize(
    ("service", "operation", "params", "needed"),
    [
        (
            "dynamodb",
            "GetItem",
            {"TableName": "cases"},
            [("dynamodb:GetItem", f"arn:aws:dynamodb:{WHERE}:table/cases")],
        ),
        (
            "dynamodb",
            "Query",
            {"TableName": "cases", "IndexName": "by_time"},
            [("dynamodb:Query", f"arn:aws:dynamodb:{WHERE}:table/cases/index/by_time")],
        ),
        (
            "dynamodb",
            "TransactWriteItems",
            {"TransactItems": [{"Put": {"TableName": "a"}}, {"ConditionCheck": {"TableName": "b"}}]},
            [
                ("dynamodb:PutItem", f"arn:aws:dynamodb:{WHERE}:table/a"),
                ("dynamodb:ConditionCheckItem", f"arn:aws:dynamodb:{WHERE}:table/b"),
            ],
        ),
        (
            "dynamodb",
            "BatchGetItem",
            {"RequestItems": {"cases": {"Keys": []}}},
            [("dynamodb:BatchGetItem", f"arn:aws:dynamodb:{WHERE}:table/cases")],
        ),
        (
            "s3",
            "DeleteObjects",
            {"Bucket": "files", "Delete": {"Objects": [{"Key": "a", "VersionId": "1"}, {"Key": "b"}]}},
            [
                ("s3:DeleteObjectVersion", "arn:aws:s3:::files/a"),
                ("s3:DeleteObject", "arn:aws:s3:::files/b"),
            ],
        ),
        ("s3", "ListObjectVersions", {"Bucket": "files"}, [("s3:ListBucketVersions", "arn:aws:s3:::files")]),
        ("s3", "HeadObject", {"Bucket": "files", "Key": "a/b"}, [("s3:GetObject", "arn:aws:s3:::files/a/b")]),
        ("s3", "ListObjectsV2", {"Bucket": "files"}, [("s3:ListBucket", "arn:aws:s3:::files")]),
        (
            "sqs",
            "SendMessage",
            {"QueueUrl": "https://sqs.us-east-1.amazonaws.com/123456789012/intake"},
            [("sqs:SendMessage", f"arn:aws:sqs:{WHERE}:intake")],
        ),
        ("stepfunctions", "SendTaskSuccess", {"taskToken": "t"}, [("states:SendTaskSuccess", "*")]),
        (
            "bedrock-runtime",
            "Converse",
            {"modelId": "amazon.nova-pro-v1:0"},
            [("bedrock:InvokeModel", "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0")],
        ),
    ],
)
def test_what_a_call_needs(
    service: str, operation: str, params: dict[str, Any], needed: list[tuple[str, str]]
) -> None:
    assert list(requests(service, operation, params)) == needed


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", "arn:aws:s3:::files/cases/a", True),
        ("S3:getobject", "arn:aws:s3:::files/cases/a", True),
        ("s3:GetObject", "arn:aws:s3:::files/other/a", False),
        ("s3:PutObject", "arn:aws:s3:::files/cases/a", False),
    ],
)
def test_a_statement_allows_its_actions_on_its_resources(action: str, resource: str, allowed: bool) -> None:
    assert Statement(("s3:Get*",), ("arn:aws:s3:::files/cases/*",)).allows(action, resource) == allowed


def test_a_statement_may_be_bounded_to_some_partitions() -> None:
    bounded = Statement(("dynamodb:DeleteItem",), ("*",), ("*#thread#*",))
    assert bounded.allows("dynamodb:DeleteItem", "t", "default#thread#ab")
    assert not bounded.allows("dynamodb:DeleteItem", "t", "default#c-1")
    assert not bounded.allows("dynamodb:DeleteItem", "t")
