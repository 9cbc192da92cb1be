"""How the text of one review is put together.

The body is one to three of the item's own sentences, chosen by the rating: 5 stars take pros, 4
pros and sometimes a con, 3 both, 2 cons and sometimes a pro, 1 cons only. Sentences that the
item's earlier reviews have used are avoided as far as possible. Where praise turns to complaint
or back, half the reviews mark the turn with a few words. About one in three adds a personal
sentence, before the body or after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from .personal import Circumstances, Pool, choose, fill

PERSONAL = 0.5
TURN = 0.5
FRONT = 0.65
INSISTING = 60  # after so many repeated texts every further attempt takes a personal sentence
ATTEMPTS = 300
BODIES: Mapping[int, tuple[tuple[tuple[int, int], float], ...]] = {
    # (pros, cons): share
    5: (((1, 0), 0.22), ((2, 0), 0.48), ((3, 0), 0.30)),
    4: (((1, 0), 0.20), ((2, 0), 0.40), ((1, 1), 0.20), ((2, 1), 0.20)),
    3: (((1, 1), 0.55), ((2, 1), 0.20), ((1, 2), 0.25)),
    2: (((0, 1), 0.25), ((0, 2), 0.35), ((1, 1), 0.20), ((1, 2), 0.20)),
    1: (((0, 1), 0.30), ((0, 2), 0.45), ((0, 3), 0.25)),
}
TO_CONS = (
    "That said, ",
    "On the other hand, ",
    "One reservation: ",
    "Less good: ",
    "My one grumble: ",
    "On the minus side, ",
    "A small warning: ",
    "What bothers me: ",
)
TO_PROS = (
    "Still, ",
    "In its favour: ",
    "To be fair, ",
    "On the plus side, ",
    "Credit where it is due: ",
    "On the bright side, ",
)
# A sentence may be moved behind such words only if its first word can do without the capital.
LOWERABLE = re.compile(
    r"(?:The|An?|Its?|Th[ei]s|That|Those|My|Our|We|Your?|They|Their|There|At|In|On|With|No|Without|"
    r"After|Not|For|From|Even|If|When|One|Two|Three|Four|Five|Six|Some|All|Every|Each|Both|Once|"
    r"Over|Under|By|As|To|Mine|Nothing)"
    r"(?=[ ,])"
)


@dataclass(slots=True)
class Composer:
    """Writes reviews and remembers what it has used, so that they differ."""

    pool: Pool
    rng: Random
    used: Counter[str] = field(default_factory=Counter[str])
    texts: set[str] = field(default_factory=set[str])

    def compose(self, rating: int, about: Circumstances) -> str:
        """A review that no other one repeats word for word."""
        for attempt in range(ATTEMPTS):
            pros, cons = self._pick(rating, about)
            body, extra = self._body(rating, pros, cons), None
            if attempt > INSISTING or self.rng.random() < PERSONAL:
                extra = choose(self.pool, about, " ".join(body), self.used, self.rng)
            text = self._join(body, extra, about)
            if text not in self.texts:
                self.texts.add(text)
                self.used.update([*pros, *cons, *([extra[1]] if extra else [])])
                return text
        raise RuntimeError(f"no further review of {about.item.where} can be composed")

    def _pick(self, rating: int, about: Circumstances) -> tuple[list[str], list[str]]:
        bodies = BODIES[rating]
        pros, cons = self.rng.choices([b for b, _ in bodies], [share for _, share in bodies])[0]
        return self._some(about.item.pros, pros), self._some(about.item.cons, cons)

    def _some(self, sentences: Sequence[str], count: int) -> list[str]:
        left, taken = list(sentences), list[str]()
        for _ in range(count):
            weights = [(1 + self.used[sentence]) ** -2.0 for sentence in left]
            taken.append(self.rng.choices(left, weights)[0])
            left.remove(taken[-1])
        return taken

    def _body(self, rating: int, pros: list[str], cons: list[str]) -> list[str]:
        if not pros or not cons:
            return pros or cons
        if rating < 3 or (rating == 3 and self.rng.random() < 0.5):
            return [*cons, self._turned(pros[0], TO_PROS), *pros[1:]]
        return [*pros, self._turned(cons[0], TO_CONS), *cons[1:]]

    def _turned(self, sentence: str, words: Sequence[str]) -> str:
        if self.rng.random() >= TURN or not LOWERABLE.match(sentence):
            return sentence
        return self.rng.choice(words) + sentence[0].lower() + sentence[1:]

    def _join(self, body: list[str], extra: tuple[str, str] | None, about: Circumstances) -> str:
        if extra is None:
            return " ".join(body)
        kind, line = extra
        front = kind == "long" or self.rng.random() < FRONT
        said = fill(line, about)
        return " ".join([said, *body] if front else [*body, said])
