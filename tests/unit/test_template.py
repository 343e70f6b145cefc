"""What the deployment promises, asserted on template.yaml after SAM's transform: no linter looks at it.

Who may do what is in test_permissions.py.
"""

import graphlib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from countersign.case_file import raw_key
from countersign.models import CaseRef
from local import asl
from local.template import load, to_cloudformation

ROOT = Path(__file__).parents[2]
SOURCE = load(ROOT / "template.yaml")
FUNCTIONS = {
    name: resource["Properties"]
    for name, resource in SOURCE["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
TRANSFORMED, _ = to_cloudformation(load(ROOT / "template.yaml"), {}, ROOT)
RESOURCES: dict[str, dict[str, Any]] = TRANSFORMED["Resources"]
EVERYTHING = {
    "OwnKey": "true",
    "GradualDeployment": "true",
    "SnapStart": "PublishedVersions",
    "Engine": "bedrock-agent",
    "AlarmEmail": "somebody@example.com",
}
FOURTEEN_DAYS = 14 * 24 * 3600

# Its messages wait for the ingestion job before theirs, which may take hours: age says nothing.
MAY_WAIT = {"KnowledgeQueue"}
CALLERS = {
    "AWS::ApiGatewayV2::Api",
    "AWS::Events::Rule",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Permission",
    "AWS::StepFunctions::StateMachine",
}
PUBLIC = {("POST", "/webhooks/{source}"), ("GET", "/"), ("GET", "/static/{file}")}
FOR_READERS = {
    ("GET", "/cases"),
    ("GET", "/cases/{case_id}"),
    ("GET", "/approvals"),
    ("GET", "/approvals/{approval_id}"),
    ("POST", "/approvals/{approval_id}/decision"),
    ("POST", "/knowledge/documents"),
    ("GET", "/knowledge/jobs/{job_id}"),
    ("POST", "/knowledge/search"),
    ("GET", "/limits"),
    ("GET", "/destinations"),
    ("POST", "/destinations/{destination_id}/on"),
    ("GET", "/failures"),
    ("POST", "/failures/redrive"),
    ("POST", "/cases/{case_id}/redrive"),
    ("POST", "/cases/{case_id}/forget"),
    ("GET", "/reconciliation"),
    ("POST", "/reconciliation/repairs"),
    ("POST", "/reconciliation/events"),
}


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    """Properties of the resources of a type, by logical id."""
    return {
        name: resource.get("Properties", {})
        for name, resource in RESOURCES.items()
        if resource["Type"] == kind
    }


def named(value: Any) -> str:
    """The logical id that a `Ref` or `Fn::GetAtt` points at."""
    target = value.get("Ref") or value["Fn::GetAtt"]
    return target if isinstance(target, str) else target[0]


def referred(value: Any) -> Iterator[str]:
    """Logical ids (or names of parameters) that a value refers to."""
    match value:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [name, *_]}:
            yield name
        case {"Fn::GetAtt": str(name)}:
            yield name.partition(".")[0]
        case {"Fn::Sub": [text, values]}:
            yield from (name for name in referred({"Fn::Sub": text}) if name not in values)
            yield from referred(values)
        case {"Fn::Sub": str(text)}:
            yield from (name.partition(".")[0] for name in re.findall(r"\$\{([^!}]+)\}", text))
        case dict():
            for item in value.values():
                yield from referred(item)
        case list():
            for item in value:
                yield from referred(item)


@pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["defaults", "everything on"])
def test_resources_can_be_created_one_after_the_other(parameters: dict[str, str]) -> None:
    transformed, _ = to_cloudformation(load(ROOT / "template.yaml"), parameters, ROOT)
    resources = transformed["Resources"]
    graph = {}
    for name, resource in resources.items():
        needed = set(referred({key: value for key, value in resource.items() if key != "Condition"}))
        explicit = resource.get("DependsOn", [])
        needed |= {explicit} if isinstance(explicit, str) else set(explicit)
        unknown = {each for each in needed if not each.startswith("AWS::")}
        assert unknown <= resources.keys() | transformed["Parameters"].keys(), name
        graph[name] = needed & resources.keys()
    order = list(graphlib.TopologicalSorter(graph).static_order())
    assert len(order) == len(resources) <= 500


# Queues

MAPPINGS = of_type("AWS::Lambda::EventSourceMapping")
DEAD_LETTERS = {
    named(queue["RedrivePolicy"]["deadLetterTargetArn"])
    for queue in of_type("AWS::SQS::Queue").values()
    if "RedrivePolicy" in queue
} | {
    named(function["DeadLetterConfig"]["TargetArn"])
    for function in of_type("AWS::Lambda::Function").values()
    if "DeadLetterConfig" in function
}
READ = of_type("AWS::SQS::Queue").keys() - DEAD_LETTERS


@pytest.mark.parametrize(("name", "queue"), of_type("AWS::SQS::Queue").items())
def test_a_queue_keeps_what_it_holds(name: str, queue: dict[str, Any]) -> None:
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS
    if name not in DEAD_LETTERS:
        assert queue["RedrivePolicy"]["maxReceiveCount"] >= 5


@pytest.mark.parametrize(("name", "mapping"), MAPPINGS.items())
def test_a_batch_is_handled_once_at_a_time_and_in_part(name: str, mapping: dict[str, Any]) -> None:
    alias = RESOURCES[named(mapping["FunctionName"])]
    assert alias["Type"] == "AWS::Lambda::Alias"
    function = RESOURCES[named(alias["Properties"]["FunctionName"])]["Properties"]
    queue = RESOURCES[named(mapping["EventSourceArn"])]["Properties"]
    waits = mapping.get("MaximumBatchingWindowInSeconds", 0)
    assert queue["VisibilityTimeout"] >= 6 * function["Timeout"] + waits
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert 2 <= mapping["ScalingConfig"]["MaximumConcurrency"] <= 50


def test_a_queue_answers_over_tls_alone() -> None:
    refused: dict[str, list[str]] = {}
    for policy in of_type("AWS::SQS::QueuePolicy").values():
        queues = [named(queue) for queue in policy["Queues"]]
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement["Effect"] == "Deny":
                assert statement["Principal"] == "*"
                assert statement["Action"] == "sqs:*"
                assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
                for queue in queues:
                    refused.setdefault(queue, []).extend(referred(statement["Resource"]))
    # A queue has one policy, which must speak of itself.
    assert refused.keys() == of_type("AWS::SQS::Queue").keys()
    assert all(queue in resources for queue, resources in refused.items())


def test_every_queue_that_is_no_dead_letter_queue_is_read() -> None:
    read = {named(mapping["EventSourceArn"]) for mapping in MAPPINGS.values()}
    assert read == READ


def test_a_check_that_is_skipped_says_why() -> None:
    lines = (ROOT / ".checkov.yaml").read_text().splitlines()
    skipped = [i for i, line in enumerate(lines) if line.startswith("  - CKV")]
    assert skipped
    assert all(lines[i - 1].startswith("  # ") and lines[i - 1].endswith(".") for i in skipped)


# Alarms


def watched(metric: str) -> set[str]:
    """Queues on whose `metric` an alarm rings."""
    return {
        named(alarm["Dimensions"][0]["Value"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("MetricName") == metric
    }


def test_somebody_learns_of_dead_letters_and_of_age() -> None:
    assert watched("ApproximateNumberOfMessagesVisible") == DEAD_LETTERS
    assert (
        watched("ApproximateAgeOfOldestMessage")
        == of_type("AWS::SQS::Queue").keys() - DEAD_LETTERS - MAY_WAIT
    )


@pytest.mark.parametrize(("name", "alarm"), of_type("AWS::CloudWatch::Alarm").items())
def test_an_alarm_says_what_it_means_and_rings(name: str, alarm: dict[str, Any]) -> None:
    assert len(alarm["AlarmDescription"]) > 20
    assert [named(action) for action in alarm["AlarmActions"]] == ["AlarmTopic"]
    assert alarm["TreatMissingData"] == "notBreaching"
    for metric in alarm.get("Metrics", []):
        # A sum by `+` has no value where one of its metrics has none, and then nothing rings.
        assert metric.get("Expression", "SUM(METRICS())") == "SUM(METRICS())"


def test_errors_of_every_function_outside_the_machine_ring() -> None:
    metrics = RESOURCES["FunctionErrorsAlarm"]["Properties"]["Metrics"]
    rings = {
        named(metric["MetricStat"]["Metric"]["Dimensions"][0]["Value"])
        for metric in metrics
        if "MetricStat" in metric
    }
    machine = asl.read(ROOT / "statemachines/handle_case.asl.json")
    states = {state.function for state in machine.states.values() if state.function}
    # Fail Case is also called by EventBridge, outside of any execution.
    assert rings == FUNCTIONS.keys() - states | {"FailCaseFunction"}


# Storage


def test_logs_end_some_day_and_every_function_writes_to_one_group() -> None:
    for group in of_type("AWS::Logs::LogGroup").values():
        assert group["RetentionInDays"] == {"Ref": "LogDays"}
    groups = {
        json.dumps(each["LoggingConfig"]["LogGroup"]) for each in of_type("AWS::Lambda::Function").values()
    }
    assert groups == {json.dumps({"Ref": "FunctionLogs"})}
    assert all(
        each["LoggingConfig"]["LogFormat"] == "JSON" for each in of_type("AWS::Lambda::Function").values()
    )


@pytest.mark.parametrize(("name", "table"), of_type("AWS::DynamoDB::Table").items())
def test_a_table_can_be_restored(name: str, table: dict[str, Any]) -> None:
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert "HasOwnKey" in json.dumps(table["SSESpecification"])


@pytest.mark.parametrize(("name", "bucket"), of_type("AWS::S3::Bucket").items())
def test_a_bucket_is_private_versioned_and_encrypted(name: str, bucket: dict[str, Any]) -> None:
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert all(value is True for value in bucket["PublicAccessBlockConfiguration"].values())
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert rule["BucketKeyEnabled"] is True
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    lifecycle = bucket["LifecycleConfiguration"]["Rules"]
    assert all("NoncurrentVersionExpiration" in each for each in lifecycle), "erased is erased"


def test_every_text_of_a_case_is_erased_by_age() -> None:
    rules = RESOURCES["CaseFilesBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    erased = {rule["Prefix"]: rule["ExpirationInDays"] for rule in rules if rule["Status"] == "Enabled"}
    ref = CaseRef(tenant="t", case_id="c")
    for key in (ref.prefix, raw_key(ref)):
        assert [days for prefix, days in erased.items() if key.startswith(prefix)] == [
            {"Ref": "CaseFileDays"}
        ], key
    # What a version was before is gone soon after, so that erased by age is erased.
    assert {rule["NoncurrentVersionExpiration"]["NoncurrentDays"] for rule in rules} == {7}


@pytest.mark.parametrize("bucket", of_type("AWS::S3::Bucket"))
def test_a_bucket_answers_over_tls_alone(bucket: str) -> None:
    [policy] = [each for each in of_type("AWS::S3::BucketPolicy").values() if named(each["Bucket"]) == bucket]
    [statement] = policy["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert set(referred(statement["Resource"])) == {bucket}
    assert len(statement["Resource"]) == 2, "the bucket and what is in it"


def test_data_outlives_the_stack() -> None:
    for name in ("CasesTable", "CaseFilesBucket", "KnowledgeBucket", "DataKey"):
        assert RESOURCES[name]["DeletionPolicy"] == "Retain"
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_claims_expire() -> None:
    assert RESOURCES["ClaimsTable"]["Properties"]["TimeToLiveSpecification"] == {
        "AttributeName": "expiration",
        "Enabled": True,
    }


def test_bedrocks_own_keys_are_not_filterable() -> None:
    index = RESOURCES["PassageIndex"]["Properties"]
    assert index["MetadataConfiguration"] == {
        "NonFilterableMetadataKeys": ["AMAZON_BEDROCK_TEXT", "AMAZON_BEDROCK_METADATA"]
    }
    assert index["Dimension"] == 1024
    assert "1,024 dimensions" in SOURCE["Parameters"]["EmbeddingModelId"]["Description"]


# Functions


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items())
def test_a_function_lists_its_layers_and_core_comes_first(name: str, function: dict[str, Any]) -> None:
    layers = [layer["Ref"] for layer in function["Layers"]]
    assert layers[0] == "CoreLayer"
    assert len(layers) == len(set(layers))


def test_only_functions_with_langchain_may_start_from_a_snapshot() -> None:
    with_snapshots = {name for name, function in FUNCTIONS.items() if "SnapStart" in function}
    with_langchain = {
        name for name, function in FUNCTIONS.items() if {"Ref": "LlmLayer"} in function["Layers"]
    }
    assert with_snapshots == with_langchain
    assert SOURCE["Parameters"]["SnapStart"]["Default"] == "None", "it bills while idle"


def test_a_function_gives_up_before_its_state_does() -> None:
    default = SOURCE["Globals"]["Function"]["Timeout"]
    machine = asl.read(ROOT / "statemachines/handle_case.asl.json")
    for state in machine.states.values():
        limit = state.definition.get("TimeoutSeconds")
        if state.function and isinstance(limit, int):
            assert FUNCTIONS[state.function].get("Timeout", default) < limit, state.name
    assert FUNCTIONS["ServeApiFunction"]["Timeout"] < 30, "the API waits for 30 seconds"


def test_everything_calls_the_live_version() -> None:
    """A call of a function by its name would run what was never published, past any gradual deployment."""
    callers = {name: each for name, each in RESOURCES.items() if each["Type"] in CALLERS}
    for name, resource in callers.items():
        called = {each for each in referred(resource) if each in RESOURCES}
        assert not {each for each in called if RESOURCES[each]["Type"] == "AWS::Lambda::Function"}, name


def test_a_new_layer_is_published() -> None:
    versions = of_type("AWS::Lambda::Version").keys()
    changed = load(ROOT / "template.yaml")
    # As `sam deploy` does it: new content has a new address.
    changed["Resources"]["CoreLayer"]["Properties"]["Description"] += "."
    transformed, _ = to_cloudformation(changed, {}, ROOT)
    after = {
        name for name, each in transformed["Resources"].items() if each["Type"] == "AWS::Lambda::Version"
    }
    assert not versions & after, "the alias of a function stays with its old layer"


# What only some functions look at, and these name themselves.
REPLIES = {"GitHubApiUrl", "SlackApiUrl", "LogLevel"}
CLAIMS = {"PublishedSettings", "TenantClaim", "OperatorGroup"}
LOOKED_AT = {
    "ReceiveWebhookFunction": REPLIES,
    "OpenCaseFunction": REPLIES,
    "DeliverReplyFunction": REPLIES,
    "ServeApiFunction": CLAIMS,
    "ServeDeskFunction": CLAIMS,
}


def test_a_new_value_of_a_parameter_is_published() -> None:
    variables = SOURCE["Globals"]["Function"]["Environment"]["Variables"]
    shared = SOURCE["Resources"]["PublishedSettings"]["Properties"]["Value"]
    parameters = {name for name in referred(variables) if name in SOURCE["Parameters"]}
    own = {"GitHubApiUrl", "SlackApiUrl", "TenantClaim", "OperatorGroup"}
    assert {name for name in referred(shared) if name in SOURCE["Parameters"]} == parameters - own
    for name, function in FUNCTIONS.items():
        named = set(referred(function["VersionDescription"]))
        assert named >= LOOKED_AT.get(name, {"PublishedSettings"}), name


def test_a_version_s_description_holds_the_longest_values() -> None:
    """Lambda takes 256 characters."""
    described = SOURCE["Resources"]["PublishedSettings"]["Properties"]["Value"]["Fn::Sub"]
    for name, function in FUNCTIONS.items():
        description = function["VersionDescription"]
        text = description.get("Fn::Sub", "${PublishedSettings.Value}")
        text = text.replace("${PublishedSettings.Value}", described)
        assert len(re.sub(r"\$\{([^}]+)\}", lambda value: "x" * longest(value[1]), text)) <= 256, name


def longest(name: str) -> int:
    """Of a parameter's value, or of what AWS names: ids of ten characters, and numbers of versions."""
    parameter = SOURCE["Parameters"].get(name)
    if parameter is None:
        return {"KnowledgeBase": 10, "KnowledgeDocuments.DataSourceId": 10, "GuardrailVersion.Version": 6}[
            name
        ]
    if parameter["Type"] == "Number":
        cents = 0 if isinstance(parameter["MinValue"], int) else len(str(parameter["MinValue"]))
        return len(str(parameter["MaxValue"])) + cents
    allowed = parameter.get("AllowedValues")
    return max(map(len, allowed)) if allowed else parameter["MaxLength"]


def test_a_changed_guardrail_is_published() -> None:
    guardrail = SOURCE["Resources"]["Guardrail"]["Properties"]
    digest = hashlib.sha256(json.dumps(guardrail, sort_keys=True).encode()).hexdigest()[:12]
    version = SOURCE["Resources"]["GuardrailVersion"]["Properties"]
    assert version["Description"] == f"Of the guardrail {digest}"


def test_the_guardrail_stops_attacks_on_what_comes_in() -> None:
    filters = {
        each["Type"]: each
        for each in SOURCE["Resources"]["Guardrail"]["Properties"]["ContentPolicyConfig"]["FiltersConfig"]
    }
    assert filters["PROMPT_ATTACK"] == {
        "Type": "PROMPT_ATTACK",
        "InputStrength": "HIGH",
        "OutputStrength": "NONE",
    }


# The machine and the API


def test_the_machine_is_traced_and_logs_no_data() -> None:
    [machine] = of_type("AWS::StepFunctions::StateMachine").values()
    assert machine["StateMachineType"] == "STANDARD"
    assert machine["TracingConfiguration"] == {"Enabled": True}
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False
    name = machine["StateMachineName"]["Fn::Sub"]
    assert SOURCE["Globals"]["Function"]["Environment"]["Variables"]["HANDLE_CASE_ARN"]["Fn::Sub"].endswith(
        f":stateMachine:{name}"
    )


def routes() -> dict[tuple[str, str], dict[str, Any]]:
    [api] = of_type("AWS::ApiGatewayV2::Api").values()
    return {
        (method.upper(), path): operation
        for path, methods in api["Body"]["paths"].items()
        for method, operation in methods.items()
    }


def test_the_api_has_its_routes_and_three_are_public() -> None:
    assert routes().keys() == PUBLIC | FOR_READERS
    assert {route for route, each in routes().items() if each["security"] == [{"NONE": []}]} == PUBLIC
    assert {route for route, each in routes().items() if each["security"] == [{"Reader": []}]} == FOR_READERS


def test_the_api_asks_for_the_issuers_tokens_and_logs_no_path() -> None:
    [api] = of_type("AWS::ApiGatewayV2::Api").values()
    scheme = api["Body"]["components"]["securitySchemes"]["Reader"]["x-amazon-apigateway-authorizer"]
    assert scheme["type"] == "jwt"
    assert scheme["jwtConfiguration"] == {
        "issuer": {"Ref": "TokenIssuer"},
        "audience": [{"Ref": "TokenAudience"}],
    }
    [stage] = of_type("AWS::ApiGatewayV2::Stage").values()
    logged = json.loads(stage["AccessLogSettings"]["Format"])
    assert logged["requestId"] == "$context.requestId", "API Gateway wants it"
    assert "\n" not in stage["AccessLogSettings"]["Format"]
    assert not {"$context.path", "$context.identity.sourceIp"} & set(logged.values())


def test_the_openapi_document_has_the_same_routes() -> None:
    path = ROOT / "docs/openapi.json"
    if not path.exists():
        pytest.skip("there is no OpenAPI document yet")
    paths = json.loads(path.read_text())["paths"]
    documented = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert documented == routes().keys()


def test_outputs_say_where_to_go_on() -> None:
    wanted = {"ApiUrl", "KnowledgeBucket", "GithubSecret", "WebhookSecret", "HandleCaseArn", "AlarmTopic"}
    assert wanted <= TRANSFORMED["Outputs"].keys()
    for name, output in TRANSFORMED["Outputs"].items():
        assert "Secret" not in name or output["Value"] == {"Ref": name}, "its name, not what is in it"
