"""What the offline Bedrock answers instead of a result.

Names and statuses are those of AWS's service models:

    ServiceError
    ├── ValidationError         ValidationException          400
    ├── NotFoundError           ResourceNotFoundException    404
    ├── ConflictError           ConflictException            409
    └── ThrottlingError         ThrottlingException          429
"""

STATUS = {
    "AccessDeniedException": 403,
    "BadGatewayException": 502,
    "ConflictException": 409,
    "DependencyFailedException": 424,
    "InternalServerException": 500,
    "ModelErrorException": 424,
    "ModelNotReadyException": 429,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404,
    "ServiceQuotaExceededException": 400,
    "ServiceUnavailableException": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "ValidationException": 400,
}
"""HTTP status of each error that Bedrock's APIs have."""


class ServiceError(Exception):
    """An error answer: `code` is the exception's name in AWS's models, `status` its HTTP status."""

    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status if status is not None else STATUS.get(code, 400)


class ValidationError(ServiceError):
    """The request does not fit the service model."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


class NotFoundError(ServiceError):
    """A knowledge base, agent, flow, job or document that does not exist."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceNotFoundException", message)


class ConflictError(ServiceError):
    """Something of that kind is under way already."""

    def __init__(self, message: str) -> None:
        super().__init__("ConflictException", message)


class ThrottlingError(ServiceError):
    """Too many requests."""

    def __init__(self, message: str = "Too many requests, please wait before trying again.") -> None:
        super().__init__("ThrottlingException", message)
