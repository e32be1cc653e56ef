"""Where a worker's next deliveries come from: new events, which it dispatches, and older deliveries that are due."""

import time
from collections import Counter

from webhooks import wake
from webhooks.engine.claim import FIRST_CURSOR, Claim, claim
from webhooks.engine.dispatch import MOST_EVENTS, dispatch
from webhooks.engine.ration import claim_rationed

# So often it looks for new events, and for older deliveries; for these less often while new events alone fill the room.
LOOK_SECONDS = 0.01
OLDER_SECONDS = 0.1
# So often it asks whether webhooks that rest may be tried again: they have rested for a minute or more, and where many
# fail at a time, asking each of them holds up the others.
PROBE_SECONDS = 0.5
# So many older ones are claimed at once: nothing is sent while the database looks for them.
MOST_CLAIMED = 300
# It takes bodies of so many bytes at once, going by the size of those before: at first, some of the largest.
MOST_BYTES = 16 * 1024 * 1024
FIRST_BODY_BYTES = 256 * 1024


class Intake:
    """Takes one batch of claims after the other, and remembers where there is more."""

    def __init__(self, room_per_webhook: int) -> None:
        self._room_per_webhook = room_per_webhook
        self._body_bytes = FIRST_BODY_BYTES
        self._cursor = FIRST_CURSOR
        self._dispatched_at = self._claimed_at = self._probed_at = 0.0
        self._more_is_new = self._more_is_older = False
        # Whether the last dispatch filled room, so that the next one should follow at once.
        self._new_fills_room = False
        # Whether a limit per second keeps something back that can go within the next second.
        self.more_follows = False
        # Whether the last look has brought something, or left events: whether to look again at once.
        self.more_is_due = True

    def take(self, taken: Counter[str], room: int, is_idle: bool) -> list[Claim]:
        """Return up to `room` claims for a caller who has `taken` so many of each webhook."""
        now = time.monotonic()
        room = min(room, max(1, MOST_BYTES // self._body_bytes))
        # Where older deliveries wait, new ones go behind them.
        claims = self._dispatch(taken, 0 if self._more_is_older else room, now)
        room -= len(claims)
        # Who is idle sends what is new before looking further.
        if room > 0 and (not claims if is_idle else self._should_claim(now)):
            claims += self._claim(taken, min(room, MOST_CLAIMED), now)
        if claims:
            self._body_bytes = max(1, sum(len(claimed.body) for claimed in claims) // len(claims))
        self.more_is_due = bool(claims) or self._more_is_new
        return claims

    def _dispatch(self, taken: Counter[str], room: int, now: float) -> list[Claim]:
        """Dispatch new events, and claim at once what of their deliveries fits in."""
        if not (self._more_is_new and self._new_fills_room) and now - self._dispatched_at < LOOK_SECONDS:
            return []
        self._dispatched_at = now

        def wanted(webhook_id: str) -> bool:
            nonlocal room
            if room <= 0 or taken[webhook_id] >= self._room_per_webhook:
                return False
            room -= 1
            taken[webhook_id] += 1
            return True

        dispatched = dispatch(wanted, limit=room or MOST_EVENTS)
        self._more_is_new = dispatched.more_is_new
        self._new_fills_room = bool(dispatched.claims)
        if self._more_is_new:
            # There may be more than one process can send.
            wake.ring_soon()
        return dispatched.claims

    def _should_claim(self, now: float) -> bool:
        seconds = OLDER_SECONDS if self._more_is_new else LOOK_SECONDS
        return self._more_is_older or now - self._claimed_at >= seconds

    def _claim(self, taken: Counter[str], room: int, now: float) -> list[Claim]:
        self._claimed_at = now
        with_probes = now - self._probed_at >= PROBE_SECONDS
        if with_probes:
            self._probed_at = now
        rations = claim_rationed(taken, self._room_per_webhook, room, with_probes=with_probes)
        self.more_follows = rations.more_follows
        room -= len(rations.claims)
        plain = claim(taken, self._room_per_webhook, room, self._cursor)
        self._more_is_older = len(plain) >= room
        if self._more_is_older:
            wake.ring_soon()
            self._cursor = max(claimed.webhook_id for claimed in plain)
        else:
            self._cursor = FIRST_CURSOR
        return rations.claims + plain
