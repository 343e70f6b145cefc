"""What the template's roles allow: a fault that denies every other AWS call of a function, as IAM would.

    stack.faults.add(stack.permissions.fault)

Judged are the Allow statements of a role's inline, attached and separate policies, by action, resource and,
where a condition bounds them, a table's partition keys. One with another condition allows nothing here; AWS's
own policies allow only what no function calls: logs, traces.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from botocore.exceptions import ClientError

from local.faults import Moment, client_error
from local.template import ACCOUNT, REGION, Deployment

# Where an operation is not its own permission.
_ACTIONS = {
    ("bedrock-runtime", "Converse"): "bedrock:InvokeModel",
    ("bedrock-runtime", "ConverseStream"): "bedrock:InvokeModelWithResponseStream",
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListObjectVersions"): "s3:ListBucketVersions",
    ("sqs", "ChangeMessageVisibilityBatch"): "sqs:ChangeMessageVisibility",
}
_PREFIXES = {
    "bedrock-runtime": "bedrock",
    "bedrock-agent": "bedrock",
    "bedrock-agent-runtime": "bedrock",
    "stepfunctions": "states",
}
_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}


@dataclass(frozen=True)
class Statement:
    """Actions, resources and, where they are bounded, partition keys as patterns with `*`."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]
    partitions: tuple[str, ...] = ("*",)

    def allows(self, action: str, resource: str, partition: str = "") -> bool:
        return (
            any(fnmatchcase(action.lower(), pattern.lower()) for pattern in self.actions)
            and any(fnmatchcase(resource, pattern) for pattern in self.resources)
            and any(fnmatchcase(partition, pattern) for pattern in self.partitions)
        )


class Permissions:
    """What each function of a deployment may do."""

    def __init__(self, deployment: Deployment) -> None:
        attached = {
            deployment.physical_id(name): tuple(_statements(properties["PolicyDocument"]))
            for name, properties in deployment.resources("AWS::IAM::ManagedPolicy")
        }
        roles: dict[str, list[Statement]] = {}
        for name, properties in deployment.resources("AWS::IAM::Role"):
            granted = roles.setdefault(deployment.physical_id(name), [])
            for arn in properties.get("ManagedPolicyArns", []):
                granted += attached.get(arn, ())
            for policy in properties.get("Policies", []):
                granted += _statements(policy["PolicyDocument"])
        for _, properties in deployment.resources("AWS::IAM::RolePolicy"):
            roles[properties["RoleName"]] += _statements(properties["PolicyDocument"])
        labels = {function.logical_id: function.label for function in deployment.functions({})}
        self._granted = {
            labels[name]: tuple(roles[properties["Role"].rpartition("/")[2]])
            for name, properties in deployment.resources("AWS::Lambda::Function")
        }

    def allows(self, function: str, action: str, resource: str, partition: str = "") -> bool:
        """Whether a function (by its folder's name) may. `resource` is an ARN, `partition` a row's key."""
        return any(statement.allows(action, resource, partition) for statement in self._granted[function])

    def fault(
        self, moment: Moment, function: str, service: str, operation: str, params: Mapping[str, Any]
    ) -> ClientError | None:
        """AccessDenied, as `Faults.add` takes it, for a call that the function's role does not allow."""
        if moment == "before":
            for action, resource in requests(service, operation, params):
                partition = params.get("Key", {}) if service == "dynamodb" else {}
                if not self.allows(function, action, resource, partition.get("pk", {}).get("S", "")):
                    message = f"{function} is not authorized to perform: {action} on resource: {resource}"
                    return client_error(operation, "AccessDeniedException", message, 403)
        return None


def _statements(document: Mapping[str, Any]) -> Iterator[Statement]:
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        match statement.get("Condition"):
            case None:
                yield Statement(_many(statement["Action"]), _many(statement["Resource"]))
            case {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}:
                yield Statement(_many(statement["Action"]), _many(statement["Resource"]), _many(keys))


def _many(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def requests(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The permissions that a call needs: actions, each with the ARN it is about (`*` where there is none)."""
    if operation == "TransactWriteItems":
        for item in params["TransactItems"]:
            for kind, write in item.items():
                yield f"dynamodb:{_TRANSACTION[kind]}", _resource("dynamodb", write)
        return
    if operation == "DeleteObjects":
        for each in params["Delete"]["Objects"]:
            kind = "DeleteObjectVersion" if "VersionId" in each else "DeleteObject"
            yield f"s3:{kind}", _resource("s3", {**params, **each})
        return
    if operation == "BatchGetItem":
        for table in params["RequestItems"]:
            yield "dynamodb:BatchGetItem", _resource("dynamodb", {"TableName": table})
        return
    action = _ACTIONS.get((service, operation)) or f"{_PREFIXES.get(service, service)}:{operation}"
    yield action, _resource(service, params)


def _resource(service: str, params: Mapping[str, Any]) -> str:
    where = f"{REGION}:{ACCOUNT}"
    match service, params:
        case "dynamodb", {"TableName": table, "IndexName": index}:
            return f"arn:aws:dynamodb:{where}:table/{table}/index/{index}"
        case "dynamodb", {"TableName": table}:
            return f"arn:aws:dynamodb:{where}:table/{table}"
        case "s3", {"Bucket": bucket, "Key": key}:
            return f"arn:aws:s3:::{bucket}/{key}"
        case "s3", {"Bucket": bucket}:
            return f"arn:aws:s3:::{bucket}"
        case "sqs", {"QueueUrl": url}:
            return f"arn:aws:sqs:{where}:{url.rpartition('/')[2]}"
        case "secretsmanager", {"SecretId": name}:
            # Secrets Manager adds six characters to a secret's name.
            return f"arn:aws:secretsmanager:{where}:secret:{name}-AbCdEf"
        case "stepfunctions", {"stateMachineArn": arn} | {"executionArn": arn}:
            return str(arn)
        case "bedrock-runtime", {"guardrailIdentifier": guardrail}:
            return f"arn:aws:bedrock:{where}:guardrail/{guardrail}"
        case "bedrock-runtime", {"modelId": model}:
            return f"arn:aws:bedrock:{REGION}::foundation-model/{model}"
        case (("bedrock-agent" | "bedrock-agent-runtime"), {"knowledgeBaseId": base}):
            return f"arn:aws:bedrock:{where}:knowledge-base/{base}"
        case "bedrock-agent-runtime", {"agentId": agent, "agentAliasId": alias}:
            return f"arn:aws:bedrock:{where}:agent-alias/{agent}/{alias}"
    return "*"
