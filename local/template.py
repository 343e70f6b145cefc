"""From `template.yaml` to resources in moto and to what the rest of the stack needs to know about them."""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.parsing import clean_json
from moto.stepfunctions import models as stepfunctions_models
from moto.stepfunctions.parser.models import stepfunctions_parser_backends
from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
from samtranslator.public.translator import ManagedPolicyLoader
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from local.functions import Function
from local.parameters import refusal
from local.replacement import replaced
from local.resources import creatable

ACCOUNT = "123456789012"
REGION = "us-east-1"
STACK_NAME = "countersign"


class TemplateError(ValueError):
    """The template can't be transformed or created; the message says what and where."""


class _BundledPolicies(ManagedPolicyLoader):  # type: ignore[misc]  # samtranslator has no types
    """SAM's own list of managed policies instead of a call of IAM."""

    def __init__(self) -> None:
        super().__init__(None)

    def load(self) -> dict[str, str]:
        return get_bundled_managed_policy_map("aws") or {}


class Deployment:
    """The created resources of one template."""

    def __init__(
        self, template: dict[str, Any], sources: dict[str, dict[str, Any]], root: Path, backend: Any
    ) -> None:
        self._template = template
        self._sources = sources
        self._root = root
        self._backend = backend
        outputs = [output for output in backend.output_map.values() if output is not None]
        self.outputs: dict[str, str] = {output.key: str(output.value) for output in outputs}

    def physical_id(self, logical_id: str) -> str:
        """What `Ref` gives for a resource. Raises KeyError if it does not exist or its condition is false."""
        resource = (
            self._backend.resource_map[logical_id] if logical_id in self._template["Resources"] else None
        )
        if resource is None:
            raise KeyError(f"the template creates no resource {logical_id}")
        return str(resource.physical_resource_id)

    def resolve(self, value: Any) -> Any:
        """`value` with CloudFormation's functions carried out."""
        return clean_json(value, self._backend.resource_map)

    def resources(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Logical id and resolved properties of each created resource of a type."""
        for logical_id, resource in self._template["Resources"].items():
            if resource["Type"] == kind and self._backend.resource_map[logical_id] is not None:
                yield logical_id, self.resolve(resource.get("Properties", {}))

    def functions(self, extra_environment: Mapping[str, str]) -> list[Function]:
        """Every function, with the environment it sees. Raises TemplateError if its code is not there."""
        result = []
        # Settings are cached in a layer that all functions share here, so a path has to mean the same to all.
        every = tuple(
            self._root / source["ContentUri"] for source in self._sources.values() if "ContentUri" in source
        )
        for logical_id, properties in self.resources("AWS::Lambda::Function"):
            source = self._sources.get(logical_id)
            if source is None or "CodeUri" not in source:
                raise TemplateError(f"{logical_id} has no CodeUri")
            folder = (self._root / source["CodeUri"]).resolve()
            if not folder.is_dir():
                raise TemplateError(f"{logical_id}: there is no folder {source['CodeUri']}")
            layers = tuple(self._layer_folders(properties.get("Layers", []), logical_id))
            name = self.physical_id(logical_id)
            timeout_s = float(properties.get("Timeout", 3))
            memory_mb = int(properties.get("MemorySize", 128))
            variables = properties.get("Environment", {}).get("Variables", {})
            environment = {key: _from_opt(str(value), layers + every) for key, value in variables.items()}
            environment |= {
                "AWS_LAMBDA_FUNCTION_NAME": name,
                "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
                "_HANDLER": str(properties["Handler"]),
                **extra_environment,
            }
            result.append(
                Function(
                    logical_id=logical_id,
                    name=name,
                    arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}",
                    folder=folder,
                    handler=str(properties["Handler"]),
                    timeout_s=timeout_s,
                    memory_mb=memory_mb,
                    layers=layers,
                    environment=environment,
                )
            )
        return result

    def _layer_folders(self, arns: list[str], function: str) -> Iterator[Path]:
        by_arn = {
            self._backend.resource_map[logical_id].physical_resource_id: logical_id
            for logical_id, resource in self._template["Resources"].items()
            if resource["Type"] == "AWS::Lambda::LayerVersion" and self._backend.resource_map[logical_id]
        }
        for arn in arns:
            if arn not in by_arn:  # a layer of somebody else, such as AWS's own extensions
                continue
            # SAM adds a hash of its content to a layer's logical id.
            name = next((name for name in self._sources if by_arn[arn].startswith(name)), None)
            folder = self._root / self._sources[name]["ContentUri"] if name else None
            if folder is None or not folder.is_dir():
                raise TemplateError(f"{function}: there is no folder for the layer {by_arn[arn]}")
            yield folder.resolve()


def _from_opt(value: str, layers: tuple[Path, ...]) -> str:
    """The folder in which a path under /opt lies here: the first of the layers that holds it.

    A layer is unpacked to /opt, so `/opt/sources` is `sources` within a layer's folder. A path that no layer
    holds stays as it is, and fails in the function as it would on AWS.
    """
    if value.startswith("/opt/"):
        for layer in layers:
            local = layer / value.removeprefix("/opt/")
            if local.exists():
                return str(local)
    return value


def load(path: Path) -> dict[str, Any]:
    """The template as a dictionary. Raises TemplateError."""
    try:
        template = yaml_parse(path.read_text())
    except OSError as error:
        raise TemplateError(f"can't read {path}: {error.strerror}") from error
    if not isinstance(template, dict) or "Resources" not in template:
        raise TemplateError(f"{path} is not a CloudFormation template")
    return template


def to_cloudformation(
    template: dict[str, Any], parameters: Mapping[str, str], root: Path
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The SAM transform, with code and definitions from the folders of `root`.

    Returns the CloudFormation template and, by logical id, the SAM properties that name local folders. Raises
    TemplateError.
    """
    sources: dict[str, dict[str, Any]] = {}
    machines: dict[str, dict[str, Any]] = {}
    defaults = template.get("Globals", {}).get("Function", {})
    for logical_id, resource in template["Resources"].items():
        properties = resource.setdefault("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                sources[logical_id] = {"CodeUri": properties.get("CodeUri", defaults.get("CodeUri", "."))}
                properties["CodeUri"] = f"s3://local/{logical_id}"
            case "AWS::Serverless::LayerVersion":
                sources[logical_id] = {"ContentUri": properties["ContentUri"]}
                properties["ContentUri"] = f"s3://local/{logical_id}"
            case "AWS::Serverless::StateMachine" if "DefinitionUri" in properties:
                machines[logical_id] = {"uri": properties["DefinitionUri"]}
                properties["DefinitionUri"] = {"Bucket": "local", "Key": logical_id}
    values = {
        name: parameter.get("Default", "") for name, parameter in template.get("Parameters", {}).items()
    }
    values |= {"AWS::Region": REGION, **parameters}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            transformed: dict[str, Any] = transform(template, values, _BundledPolicies())
    except Exception as error:
        causes = "; ".join(str(cause.message) for cause in getattr(error, "causes", []))
        raise TemplateError(f"the SAM transform refuses the template: {causes or error}") from error
    for resource in transformed["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            resource["Properties"]["Code"] = {"ZipFile": "# runs from its folder"}
    for logical_id, machine in machines.items():
        properties = transformed["Resources"][logical_id]["Properties"]
        properties.pop("DefinitionS3Location", None)
        substitutions = properties.pop("DefinitionSubstitutions", {})
        properties["DefinitionString"] = _definition(root / machine["uri"], substitutions)
    return transformed, sources


def _definition(path: Path, substitutions: Mapping[str, Any]) -> Any:
    """A state machine's definition as a CloudFormation value, its substitutions put in by `Fn::Join`."""
    try:
        text = path.read_text()
    except OSError as error:
        raise TemplateError(f"can't read the state machine {path}: {error.strerror}") from error
    # As compact as possible: the text is kept with every execution.
    parts: list[Any] = [json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)]
    for name, value in substitutions.items():
        pieces: list[Any] = []
        for part in parts:
            if not isinstance(part, str):
                pieces.append(part)
                continue
            for index, piece in enumerate(part.split("${" + name + "}")):
                pieces += [value, piece] if index else [piece]
        parts = pieces
    return {"Fn::Join": ["", parts]}


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# Its metrics warn at exit that nobody published them.
logging.getLogger("samtranslator").setLevel(logging.ERROR)


def deploy(path: Path, parameters: Mapping[str, str]) -> Deployment:
    """Create the template's resources in moto (which must be mocking). Raises TemplateError."""
    root = path.resolve().parent
    declared = load(path)
    if refused := refusal(declared, parameters):
        raise TemplateError(refused)
    template, sources = to_cloudformation(declared, parameters, root)
    types = {resource["Type"] for resource in template["Resources"].values()}
    client = boto3.client("cloudformation", region_name=REGION)
    # CloudFormation makes state machines in the backend that does not run them.
    running = replaced(stepfunctions_models, "stepfunctions_backends", stepfunctions_parser_backends)
    with creatable(types), running, _quiet():
        client.create_stack(
            StackName=STACK_NAME,
            TemplateBody=json.dumps(template),
            Parameters=[
                {"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
    stack = cloudformation_backends[ACCOUNT][REGION].get_stack(STACK_NAME)
    if stack.status != "CREATE_COMPLETE":
        raise TemplateError(f"the stack was not created: {stack.status}")
    deployment = Deployment(template, sources, root, stack)
    _apply_settings(deployment)
    return deployment


def _apply_settings(deployment: Deployment) -> None:
    """Settings of tables and buckets that moto's CloudFormation passes over."""
    s3, dynamodb = boto3.client("s3", region_name=REGION), boto3.client("dynamodb", region_name=REGION)
    for logical_id, properties in deployment.resources("AWS::S3::Bucket"):
        bucket = deployment.physical_id(logical_id)
        if properties.get("VersioningConfiguration", {}).get("Status") == "Enabled":
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        if "EventBridgeConfiguration" in properties.get("NotificationConfiguration", {}):
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
            )
    for logical_id, properties in deployment.resources("AWS::DynamoDB::Table"):
        expiry = properties.get("TimeToLiveSpecification")
        if expiry is not None:
            dynamodb.update_time_to_live(
                TableName=deployment.physical_id(logical_id),
                TimeToLiveSpecification={
                    "Enabled": str(expiry.get("Enabled", True)).lower() == "true",
                    "AttributeName": expiry["AttributeName"],
                },
            )
