"""CloudFormation resource types that moto can't create.

Secrets are made for real. Of everything else (alarms, HTTP APIs, schedules, Bedrock, layers, aliases ...)
there is a stand-in: it has the identifiers that other resources, functions and outputs refer to, in AWS's
shapes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel
from moto.secretsmanager.models import secretsmanager_backends
from moto.secretsmanager.utils import random_password

from local.replacement import replaced


def short_id(logical_id: str, length: int = 10) -> str:
    """An identifier in Bedrock's shape (upper-case letters and digits), the same in every stack."""
    return hashlib.sha256(logical_id.encode()).hexdigest()[:length].upper()


class StandIn(CloudFormationModel):
    """A resource that only has identifiers.

    Two have a meaning beyond their names: a function's alias and version are its ARN with a qualifier.
    """

    def __init__(
        self, logical_id: str, kind: str, properties: dict[str, Any], region: str, account: str
    ) -> None:
        self.logical_id = logical_id
        self.kind = kind
        self.properties = properties
        self._region = region
        self._account = account
        self.id = short_id(logical_id)
        if kind == "AWS::Bedrock::Guardrail":
            self.id = self.id.lower()  # the only ones in lower case

    @property
    def arn(self) -> str:
        """An ARN of the right service; the part after the account is `type/id`."""
        _, service, noun = self.kind.split("::")
        if self.kind == "AWS::CloudWatch::Alarm":
            return f"arn:aws:cloudwatch:{self._region}:{self._account}:alarm:{self.logical_id}"
        name = f"{self.properties['AgentId']}/{self.id}" if noun == "AgentAlias" else self.id
        return f"arn:aws:{service.lower()}:{self._region}:{self._account}:{_kebab(noun)}/{name}"

    @property
    def physical_resource_id(self) -> str:
        """What `Ref` gives."""
        if self.kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            function = str(self.properties["FunctionName"])
            if not function.startswith("arn:"):
                function = f"arn:aws:lambda:{self._region}:{self._account}:function:{function}"
            return f"{function}:{self.properties.get('Name', '1')}"
        if self.kind in _REF_IS_ARN:
            return self.arn
        if self.kind == "AWS::Bedrock::DataSource":
            return f"{self.properties['KnowledgeBaseId']}|{self.id}"
        if self.kind == "AWS::Bedrock::AgentAlias":
            return f"{self.properties['AgentId']}|{self.id}"
        return (
            self.id if self.kind in _REF_IS_ID or self.kind.startswith("AWS::Bedrock::") else self.logical_id
        )

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        """Any attribute is answered."""
        return bool(attr)

    def get_cfn_attribute(self, attribute_name: str) -> str:
        """What `Fn::GetAtt` gives."""
        if self.kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            return self.physical_resource_id if attribute_name.endswith("Arn") else "1"
        if attribute_name.endswith("Arn"):
            return self.arn
        if attribute_name == "ApiEndpoint":
            return f"https://{self.id}.execute-api.{self._region}.amazonaws.com"
        if attribute_name.endswith("Version"):
            return "DRAFT" if self.kind.startswith("AWS::Bedrock::") else "1"
        return self.id

    @staticmethod
    def cloudformation_name_type() -> str:
        """No property names it."""
        return ""

    @staticmethod
    def cloudformation_type() -> str:
        """Of no type of its own."""
        return ""

    def is_created(self) -> bool:
        """At once."""
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,  # noqa: ARG003  (moto's interface)
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> "StandIn":
        """Called by moto's CloudFormation."""
        return cls(
            kwargs["LogicalId"],
            cloudformation_json["Type"],
            cloudformation_json.get("Properties", {}),
            region_name,
            account_id,
        )

    @classmethod
    def delete_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str
    ) -> None:
        """Nothing was made, so nothing goes."""

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Any,
        new_resource_name: str,  # noqa: ARG003  (moto's interface)
        cloudformation_json: Any,
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> Any:
        """Keep the identifiers, take the new properties."""
        original_resource.properties = cloudformation_json.get("Properties", {})
        return original_resource


class SecretResource(StandIn):
    """A secret in moto's Secrets Manager, generated where the template says so."""

    secret_arn = ""

    @property
    def physical_resource_id(self) -> str:
        return self.secret_arn

    @property
    def arn(self) -> str:
        return self.secret_arn

    @classmethod
    def create_from_cloudformation_json(
        cls,
        resource_name: str,
        cloudformation_json: Any,
        account_id: str,
        region_name: str,
        **kwargs: Any,
    ) -> "SecretResource":
        properties = cloudformation_json.get("Properties", {})
        resource = cls(kwargs["LogicalId"], cloudformation_json["Type"], properties, region_name, account_id)
        value = properties.get("SecretString")
        if value is None and "GenerateSecretString" in properties:
            value = _generate_secret(properties["GenerateSecretString"])
        created = secretsmanager_backends[account_id][region_name].create_secret(
            name=properties.get("Name", resource_name),
            secret_string=value or "",
            description=properties.get("Description", ""),
            secret_binary=None,
            tags=[],
            kms_key_id=None,
            client_request_token=None,
            replica_regions=[],
            force_overwrite=False,
        )
        resource.secret_arn = json.loads(created)["ARN"]
        return resource


def _generate_secret(wish: Mapping[str, Any]) -> str:
    password = random_password(
        password_length=int(wish.get("PasswordLength", 32)),
        exclude_characters=str(wish.get("ExcludeCharacters", "")),
        exclude_numbers=_is_true(wish.get("ExcludeNumbers")),
        exclude_punctuation=_is_true(wish.get("ExcludePunctuation")),
        exclude_uppercase=_is_true(wish.get("ExcludeUppercase")),
        exclude_lowercase=_is_true(wish.get("ExcludeLowercase")),
        include_space=_is_true(wish.get("IncludeSpace")),
        require_each_included_type=_is_true(wish.get("RequireEachIncludedType", True)),
    )
    key = wish.get("GenerateStringKey")
    if key is None:
        return str(password)
    return json.dumps({**json.loads(wish.get("SecretStringTemplate", "{}")), key: password})


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _kebab(noun: str) -> str:
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in noun).lstrip("-")


_REF_IS_ARN = frozenset(
    {
        "AWS::Bedrock::Guardrail",
        "AWS::Lambda::LayerVersion",
        "AWS::S3Vectors::VectorBucket",
        "AWS::S3Vectors::Index",
        "AWS::SNS::Topic",
    }
)
_REF_IS_ID = frozenset({"AWS::ApiGatewayV2::Api", "AWS::Lambda::EventSourceMapping"})

# moto can make some of these, but the stack does their work itself: layers are folders, and a mapping that
# moto knows would call the function within SendMessage.
_OURS = {
    "AWS::Lambda::LayerVersion": StandIn,
    "AWS::Lambda::Version": StandIn,
    "AWS::Lambda::Alias": StandIn,
    "AWS::Lambda::Permission": StandIn,
    "AWS::Lambda::EventSourceMapping": StandIn,
    "AWS::CloudWatch::Alarm": StandIn,
    "AWS::CloudWatch::Dashboard": StandIn,
    # moto has no name for one that the template does not name.
    "AWS::SSM::Parameter": StandIn,
    "AWS::SecretsManager::Secret": SecretResource,
}


def stable_name(resource_type: str, stack_name: str, logical_id: str) -> str:
    """A physical name as CloudFormation makes them, but the same in every run."""
    suffix = short_id(logical_id, 12)
    if resource_type == "AWS::S3::Bucket":
        tail = f"-{logical_id}-{suffix}"
        return f"{stack_name[: 63 - len(tail)]}{tail}".lower()
    return f"{stack_name}-{logical_id[: 64 - len(stack_name) - len(suffix) - 2]}-{suffix}"


@contextmanager
def creatable(types: set[str]) -> Iterator[None]:
    """Let moto's CloudFormation create resources of all `types`, with stable names, while the block runs."""
    models = parsing.get_model_map()
    known = dict(models)
    models.update(_OURS)
    models.update({kind: StandIn for kind in types - models.keys() if not kind.startswith("Custom::")})
    try:
        with replaced(parsing, "generate_resource_name", stable_name):
            yield
    finally:
        models.clear()
        models.update(known)
