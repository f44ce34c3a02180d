"""Aho-Corasick automaton: find many strings in a text, in time linear in the text.

Written here rather than taken from a library: those that exist report every match, which is
quadratic where strings are prefixes of each other, or only matches that do not overlap, which
leaves the end of a secret that overlaps another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple


class Covered(NamedTuple):
    """A part of a text that occurrences of patterns cover.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        single: Whether it is one occurrence of one pattern; else several that overlap.
    """

    start: int
    end: int
    single: bool


class Automaton:
    """Patterns in a trie with failure links.

    Attributes:
        nodes: How many nodes there are: about one for each character of a pattern that no other
            pattern begins with; each takes about 250 bytes.
    """

    def __init__(self) -> None:
        self._next: list[dict[str, int]] = [{}]
        self._failure = [0]
        self._depth = [0]
        self._own = [0]  # the length of the pattern that ends at the node, else 0
        self._longest = [0]  # the length of the longest pattern that ends there, by failure links
        self._truncatable = [False]

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return len(self._next)

    def add(self, pattern: str, *, truncatable: bool) -> None:
        """Add a pattern; ``link`` must follow before the next scan.

        Args:
            pattern: Any text but the empty one.
            truncatable: Whether its beginning counts too where a text ends.
        """
        state = 0
        for character in pattern:
            following = self._next[state].get(character)
            if following is None:
                following = len(self._next)
                self._next[state][character] = following
                self._next.append({})
                self._depth.append(self._depth[state] + 1)
                self._own.append(0)
                self._truncatable.append(False)
            state = following
            if truncatable:
                self._truncatable[state] = True
        self._own[state] = len(pattern)

    def link(self) -> None:
        """Compute the failure links, breadth first."""
        following, own = self._next, self._own
        self._failure = failure = [0] * len(following)
        self._longest = longest = own.copy()
        queue = deque(following[0].values())
        while queue:
            state = queue.popleft()
            for character, child in following[state].items():
                queue.append(child)
                fallback = failure[state]
                while fallback and character not in following[fallback]:
                    fallback = failure[fallback]
                failure[child] = fallback = following[fallback].get(character, 0)
                longest[child] = own[child] or longest[fallback]

    def scan(
        self, text: str, candidates: Iterable[int], slack: int, cut_length: int
    ) -> tuple[list[Covered], list[int], int]:
        """Cover all occurrences of the patterns in a text.

        Args:
            text: Any text.
            candidates: Positions in ascending order, of which every occurrence has one within
                its first ``slack`` + 1 characters.
            slack: How far before a candidate an occurrence may begin.
            cut_length: The length of patterns whose occurrences are returned too.

        Returns:
            What is covered, in order and disjoint; where patterns of the cut length begin; and,
            of the longest beginning of a truncatable pattern with which the text ends, the length.
        """
        following, failure, longest = self._next, self._failure, self._longest
        covered: list[Covered] = []
        cut: list[int] = []
        state = at = 0
        size = len(text)
        for candidate in candidates:
            if candidate < at:
                continue
            at = max(at, candidate - slack)
            state = 0
            while at < size:
                character = text[at]
                at += 1
                child = following[state].get(character)
                while child is None and state:
                    state = failure[state]
                    child = following[state].get(character)
                state = child or 0
                if length := longest[state]:
                    start = at - length
                    if covered and covered[-1].end > start:
                        _cover(covered, start, at)
                    else:
                        covered.append(Covered(start, at, single=True))
                    if length == cut_length:
                        cut.append(start)
                if not state and at > candidate:
                    break
        return covered, cut, self._tail(state) if at >= size else 0

    def _tail(self, state: int) -> int:
        while state and not self._truncatable[state]:
            state = self._failure[state]
        return self._depth[state]


def _cover(covered: list[Covered], start: int, end: int) -> None:
    """Add an occurrence that ends behind all before it."""
    last = covered[-1]
    if last.start < start < last.end:
        covered[-1] = Covered(last.start, end, single=False)
        return
    while covered and covered[-1].end > start:
        last = covered.pop()
    if last.start < start < last.end:
        covered.append(Covered(last.start, end, single=False))
    else:
        covered.append(Covered(start, end, single=True))
