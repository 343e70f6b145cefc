"""The claims table: what expires. Here the budgets; Powertools keeps the idempotency records beside them.

A budget row is one tenant's day: what is reserved and spent may never pass the cap, because the reservation
is one conditional write that comes before the money is spent. Amounts are whole micro-dollars.
"""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from countersign.errors import BudgetExhausted

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

        Raises BudgetExhausted where the day's reservations would pass the cap.
        """
        amount, cap = _micro(amount_usd), _micro(cap_usd)
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
                    ":expiration": {"N": str(int(now.timestamp()) + KEEP_DAYS * DAY_S)},
                },
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            response: Any = error.response
            if response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            if key in response.get("Item", {}).get("held", {}).get("SS", []):
                return
            raise BudgetExhausted(f"tenant {tenant} has reserved all of today's {cap_usd} USD") from None

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
                "UpdateExpression": "ADD used :difference DELETE held :key",
                "ExpressionAttributeValues": {
                    ":difference": {"N": str(_micro(spent_usd) - _micro(reserved_usd))},
                    ":key": {"SS": [key]},
                },
            }
        }


def _micro(amount_usd: Decimal) -> int:
    return int((amount_usd * 1_000_000).to_integral_value())
