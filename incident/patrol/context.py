"""What one round of the patrol works with."""

from __future__ import annotations

from dataclasses import dataclass, replace

from incident.case_file.journal import Journal
from incident.case_file.recording_store import Witness
from incident.decision.context import Standing
from incident.decision.inputs import Books
from incident.model import InvalidPolicy
from incident.policy.resolve import Policy
from incident.response.context import Outside


@dataclass(frozen=True, slots=True)
class Beat:
    """What one round works with.

    Attributes:
        standing: What holds for every incident.
        outside: Everything outside.
        books: Where this round's records are kept.
        policy: The policy as it was when the round began, or why there is none to be had;
            None where it could not be read.
    """

    standing: Standing
    outside: Outside
    books: Books
    policy: Policy | InvalidPolicy | None

    def journal(self, folder: str) -> Journal:
        """The records of a folder, as this round writes them."""
        return Journal(self.books.store, folder, self.books.run, self.books.clock)

    def seen_by(self, witness: Witness) -> Beat:
        """The same, where a witness sees what is created; one for each stop of the round."""
        books = replace(self.books, store=witness)
        return replace(self, books=books, outside=replace(self.outside, store=witness))

    def harmless(self, error: object) -> str:
        """A text without what looks like a secret."""
        return self.standing.redactor().text(str(error))
