"""What a worker has claimed and not sent yet, by webhook, and how much of each it has under way."""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from uuid import UUID

from webhooks.engine.claim import Claim


class Waiting:
    """Queues by webhook. At most `cap` of a webhook are under way: in flight, or answered and not recorded yet.

    What is under way would be sent again if the process died, so what is not recorded counts too. Webhooks that fail
    share half of the `places` at most: should many of them hang, the healthy ones have the other half.
    """

    def __init__(self, places: int, cap: int) -> None:
        self._places_for_failing = max(1, places // 2)
        self._cap = cap
        self._queues: dict[UUID, deque[Claim]] = {}
        self._under_way: Counter[UUID] = Counter()
        self._failing: set[UUID] = set()

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Claim]:
        for queue in self._queues.values():
            yield from queue

    def webhooks(self) -> list[UUID]:
        """Return the webhooks for which something waits."""
        return list(self._queues)

    def taken(self) -> Counter[UUID]:
        """Count by webhook what waits and what is under way."""
        taken = Counter(self._under_way)
        taken.update({webhook_id: len(queue) for webhook_id, queue in self._queues.items()})
        return taken

    def sendable(self) -> int:
        """Count what waits and could be sent if places were free; the rest waits for its webhook's own requests."""
        healthy = failing = 0
        for webhook_id, queue in self._queues.items():
            count = max(0, min(len(queue), self._cap - self._under_way[webhook_id]))
            if webhook_id in self._failing:
                failing += count
            else:
                healthy += count
        return healthy + min(failing, self._room_for_failing())

    def may_send(self, webhook_id: UUID) -> bool:
        if webhook_id not in self._queues or self._under_way[webhook_id] >= self._cap:
            return False
        return webhook_id not in self._failing or self._room_for_failing() > 0

    def add(self, claimed: Claim) -> None:
        self._queues.setdefault(claimed.webhook_id, deque()).append(claimed)

    def pop(self, webhook_id: UUID) -> Claim:
        queue = self._queues[webhook_id]
        claimed = queue.popleft()
        if not queue:
            del self._queues[webhook_id]
        return claimed

    def drop(self, unwanted: Callable[[Claim], bool]) -> list[Claim]:
        """Take out and return what is `unwanted`."""
        dropped = [claimed for claimed in self if unwanted(claimed)]
        if dropped:
            kept = [claimed for claimed in self if not unwanted(claimed)]
            self._queues = {}
            for claimed in kept:
                self.add(claimed)
        return dropped

    def start(self, webhook_id: UUID) -> None:
        self._under_way[webhook_id] += 1

    def finish(self, webhook_id: UUID) -> None:
        self._under_way[webhook_id] -= 1
        if not self._under_way[webhook_id]:
            del self._under_way[webhook_id]

    def mark(self, webhook_id: UUID, *, failing: bool) -> None:
        if failing:
            self._failing.add(webhook_id)
        else:
            self._failing.discard(webhook_id)

    def _room_for_failing(self) -> int:
        return max(0, self._places_for_failing - sum(self._under_way[webhook_id] for webhook_id in self._failing))
