"""What to look at with findings of many types, in the words of all of them."""

from __future__ import annotations

RELATED = "related findings near in time: alone it may be a bad practice, among others it is not"
WAY_IN = "the way in: requests and log lines just before the event"
ACCOUNT = "what the runtime service account did since, in the audit log: its tokens may be taken"
PARENT = "the parent process and the user id: what started it, and as whom"
IMAGE = "the image: whether the program belongs in it, and who built and deployed it"
