"""What a worker has claimed and not sent yet, by webhook, and how much of each it has under way."""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from webhooks.engine.claim import Claim


@dataclass(slots=True, eq=False)
class Line:
    """What waits for one webhook, in the order in which it is to be sent, and how much of it is under way."""

    claims: deque[Claim] = field(default_factory=deque)
    under_way: int = 0
    failing: bool = False
    # Passed over until then, in seconds of the monotonic clock.
    not_before: float = 0.0


class Waiting:
    """Lines by webhook, which take turns. At most `cap` of a webhook are under way.

    Webhooks that fail share half of the `places` at most: should many of them hang, the healthy ones have the others.
    """

    def __init__(self, places: int, cap: int) -> None:
        self._places_for_failing = max(1, places // 2)
        self._cap = cap
        self._lines: defaultdict[str, Line] = defaultdict(Line)
        # Those in which something waits; the first one has the next turn.
        self._turns: deque[Line] = deque()

    def __bool__(self) -> bool:
        return bool(self._turns)

    def __iter__(self) -> Iterator[Claim]:
        for line in self._turns:
            yield from line.claims

    def taken(self) -> Counter[str]:
        """Count by webhook what waits and what is under way."""
        return Counter({webhook_id: len(line.claims) + line.under_way for webhook_id, line in self._lines.items()})

    def sendable(self) -> int:
        """Count what waits for nothing but places; not what waits for requests of its own webhook to come to an end."""
        healthy = failing = 0
        for line in self._turns:
            if line.failing:
                failing += max(0, min(len(line.claims), self._cap - line.under_way))
            elif line.under_way < self._cap:
                healthy += len(line.claims)
        return healthy + min(failing, self._room_for_failing())

    def in_turn(self, now: float) -> Iterator[Line]:
        """Yield lines of which the first claim may be sent now, until a whole round of them has left all as it was."""
        passed = 0
        while passed < len(self._turns):
            line = self._turns[0]
            length = len(line.claims)
            has_place = line.under_way < self._cap and (not line.failing or self._room_for_failing() > 0)
            if has_place and line.not_before <= now:
                yield line
            passed = passed + 1 if len(line.claims) == length else 0
            if line.claims:
                self._turns.rotate(-1)

    def add(self, claimed: Claim) -> None:
        """Put it at the end of its line, but before replays unless it is one."""
        line = self._lines[claimed.webhook_id]
        if not line.claims:
            self._turns.append(line)
        if not line.claims or claimed.is_replay or not line.claims[-1].is_replay:
            line.claims.append(claimed)
        else:
            line.claims.insert(sum(not waiting.is_replay for waiting in line.claims), claimed)

    def pop(self, line: Line) -> Claim:
        claimed = line.claims.popleft()
        if not line.claims:
            self._turns.remove(line)
        return claimed

    def drop(self, unwanted: Callable[[Claim], bool]) -> list[Claim]:
        """Take out and return what is `unwanted`."""
        dropped: list[Claim] = []
        for line in list(self._turns):
            dropped += filter(unwanted, line.claims)
            line.claims = deque(claimed for claimed in line.claims if not unwanted(claimed))
            if not line.claims:
                self._turns.remove(line)
        return dropped

    def start(self, webhook_id: str) -> None:
        self._lines[webhook_id].under_way += 1

    def finish(self, webhook_id: str) -> None:
        self._lines[webhook_id].under_way -= 1

    def mark(self, webhook_id: str, *, failing: bool) -> None:
        self._lines[webhook_id].failing = failing

    def _room_for_failing(self) -> int:
        return max(0, self._places_for_failing - sum(line.under_way for line in self._lines.values() if line.failing))
