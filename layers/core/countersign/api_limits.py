"""The body of the desk's call about limits. Times are ISO 8601 in UTC, money is US dollars as text."""

from countersign.api import Body


class Lease(Body):
    """A case that drafts: until when it keeps its slot, and what it holds of today's budget, if anything."""

    case_id: str
    expires_at: str
    reserved_usd: str | None


class Parked(Body):
    """Cases that wait, by what they wait for. `counted_all` is false where there are more than these."""

    budget: int
    slot: int
    counted_all: bool


class LimitsAnswer(Body):
    """`used_usd` is what is gone of today's budget: `reserved_usd` for a while, `spent_usd` for good."""

    day: str
    cap_usd: str
    used_usd: str
    reserved_usd: str
    spent_usd: str
    max_cases_at_once: int
    leases: list[Lease]
    parked: Parked
