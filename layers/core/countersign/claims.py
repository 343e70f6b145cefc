"""The claims table: what expires. Here the budgets; Powertools keeps the idempotency records beside them.

A budget row is one tenant's day: what is reserved and spent may never pass the cap, because the reservation
is one conditional write that comes before the money is spent. Amounts are whole micro-dollars.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from countersign.errors import BudgetExhausted, StoreConflict

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DAY_S = 86_400
KEEP_DAYS = 14


class Claims:
    """The claims table. Give it a boto3 DynamoDB client and the table's name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._db = client
        self._table = table

    def reserve(self, tenant: str, key: str, amount_usd: Decimal, cap_usd: Decimal, now: datetime) -> None:
        """Reserves an amount of today's budget under a key; the same key reserves once.

        Raises BudgetExhausted where the day's reservations would pass the cap, StoreConflict where a case was
        settling at the same moment.
        """
        amount, cap = _micro(amount_usd), _micro(cap_usd)
        exhausted = BudgetExhausted(f"tenant {tenant} has reserved all of today's {cap_usd} USD")
        if amount > cap:
            raise exhausted
        try:
            self._db.update_item(
                TableName=self._table,
                Key={"id": {"S": f"budget#{tenant}#{now:%Y-%m-%d}"}},
                UpdateExpression="ADD used :amount, held :key SET expiration = :expiration",
                ConditionExpression=(
                    "(attribute_not_exists(used) or used <= :room) and not contains(held, :name)"
                ),
                ExpressionAttributeValues={
                    ":amount": {"N": str(amount)},
                    ":room": {"N": str(cap - amount)},
                    ":key": {"SS": [key]},
                    ":name": {"S": key},
                    ":expiration": {"N": str(_expiration(now))},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            response: Any = error.response
            if response["Error"]["Code"] == "TransactionConflictException":
                raise StoreConflict("a case was settling at the same moment") from None
            if response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            if key in response.get("Item", {}).get("held", {}).get("SS", []):
                return
            raise exhausted from None

    def settlement(
        self, tenant: str, key: str, reserved_usd: Decimal, spent_usd: Decimal, day: str
    ) -> dict[str, Any]:
        """The write that replaces a reservation of `day` (`YYYY-MM-DD`) by what was spent.

        It has no condition of its own: it belongs in the transaction that closes the case, which runs once.
        """
        return {
            "Update": {
                "TableName": self._table,
                "Key": {"id": {"S": f"budget#{tenant}#{day}"}},
                # A day that has expired meanwhile comes back, and must expire again.
                "UpdateExpression": (
                    "SET expiration = if_not_exists(expiration, :expiration) "
                    "ADD used :difference DELETE held :key"
                ),
                "ExpressionAttributeValues": {
                    ":difference": {"N": str(_micro(spent_usd) - _micro(reserved_usd))},
                    ":key": {"SS": [key]},
                    ":expiration": {"N": str(_expiration(datetime.fromisoformat(day).replace(tzinfo=UTC)))},
                },
            }
        }


def _expiration(moment: datetime) -> int:
    return int(moment.timestamp()) + KEEP_DAYS * DAY_S


def _micro(amount_usd: Decimal) -> int:
    return int((amount_usd * 1_000_000).to_integral_value())
