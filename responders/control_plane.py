"""Control plane findings on Cloud Run resources, of Event Threat Detection.

It reads audit logs, not the container: Google documents no process, file or VirusTotal detail for
these types, and none is expected. What an example on Google's page of "Execution: Cryptomining
Docker Image" has, ``access`` and ``containers``, is used where it is there; the other two types
were never seen as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from incident.model import (
    EVENT_THREAT_DETECTION,
    Assessment,
    Evidence,
    Finding,
    Reason,
    Responder,
    Suspect,
    Technique,
    Verdict,
    found_in,
)
from responders import _mitre_attack as attack
from responders._investigation_steps import RELATED
from responders._reasons import confidence, fill_placeholders, ordered_reasons, workload_label

_DEPLOYER = "who deployed it, from which address, and whether that account is compromised"
_MAX_LISTED = 3
_NOTHING_SUSPECTED = Suspect(None, None)


@dataclass(frozen=True, slots=True)
class _ControlPlaneType:
    """What is known about one finding type.

    Attributes:
        name: The responder's name.
        category: The finding type as SCC displays it.
        event_text: What was done to the workload, after its name.
        verdict: The most that the responder would do.
        rationale: Why that verdict, as the end of a sentence.
        techniques: MITRE ATT&CK, with what each means for ``{workload}``.
        investigation_steps: What a person should check, in order.
        from_evidence: What finding and evidence say of what was done.
    """

    name: str
    category: str
    event_text: str
    verdict: Verdict
    rationale: str
    techniques: tuple[Technique, ...]
    investigation_steps: tuple[str, ...]
    from_evidence: Callable[[Evidence], Iterator[Reason]]

    def responder(self) -> Responder:
        """The responder of this type. No process and no file of the finding is suspected."""
        return Responder(
            name=self.name,
            categories=(self.category,),
            assess=self._assess,
            suspect=lambda _: _NOTHING_SUSPECTED,
            verdict=self.verdict,
            rationale=self.rationale,
            techniques=self._techniques("the workload"),
            investigation_steps=self.investigation_steps,
            detector=EVENT_THREAT_DETECTION,
        )

    def _assess(self, evidence: Evidence) -> Assessment:
        workload = workload_label(evidence.finding)
        prefix = "hostile" if self.verdict is Verdict.CONTAIN else "not hostile by itself"
        reasons = (*_caller(evidence.finding), *self.from_evidence(evidence))
        return Assessment(
            summary=f"{workload} {self.event_text}",
            confidence=confidence(evidence, self.verdict),
            reasons=ordered_reasons(evidence, f"{prefix}: {self.rationale}", reasons),
            techniques=self._techniques(workload),
            verdict=self.verdict,
            investigation_steps=self.investigation_steps,
        )

    def _techniques(self, workload: str) -> tuple[Technique, ...]:
        return tuple(
            fill_placeholders(technique, _NOTHING_SUSPECTED, workload)
            for technique in self.techniques
        )


def _caller(finding: Finding) -> Iterator[Reason]:
    """Who acted and from where, as the finding has it."""
    address = f" from {finding.addresses[0]}" if finding.addresses else ""
    if finding.principal or address:
        account = finding.principal or "an account that it does not name"
        yield Reason(f"the finding names the caller: {account}{address}", "finding")


def _images(evidence: Evidence) -> Iterator[Reason]:
    """The images that the finding names; else those of the settings."""
    named = [
        "@".join(filter(None, (container.image, container.digest)))
        for container in evidence.finding.containers
    ]
    template = evidence.affected_template
    configured = [each.image for each in template.containers] if template else []
    for images, source in ((named, "finding"), (configured, "settings")):
        if shown := ", ".join(list(filter(None, images))[:_MAX_LISTED]):
            yield Reason(f"image by the {source}: {shown}", source)


def _policy_changes(evidence: Evidence) -> Iterator[Reason]:
    """The bindings that the finding names, and the last changes of the IAM policy."""
    finding = evidence.finding
    if finding.bindings:
        text = f"IAM policy by the finding: {'; '.join(finding.bindings[:_MAX_LISTED])}"
        yield Reason(text, "finding")
    changes = [
        event
        for event in found_in(evidence.audit)
        if event.method.endswith("SetIamPolicy") and not event.error
    ]
    for event in changes[:_MAX_LISTED]:
        bindings = "; ".join(event.bindings[:_MAX_LISTED]) or "the entry does not say which"
        address = f" from {event.caller_ip}" if event.caller_ip else ""
        text = (
            f"IAM policy changed {event.timestamp:%Y-%m-%d %H:%M:%S} UTC by"
            f" {event.principal or 'an account that is not named'}{address}: {bindings}"
        )
        yield Reason(text, "audit-log")


TABLE = (
    _ControlPlaneType(
        "cryptomining-docker-image",
        "Execution: Cryptomining Docker Image",
        "was deployed with a container image that is known for cryptomining",
        Verdict.CONTAIN,
        "the image itself is known to mine: every instance of it mines, whoever deployed it",
        (
            attack.SERVERLESS_EXECUTION(
                "somebody who may deploy runs code of their own as {workload}, with the rights of"
                " its service account"
            ),
            attack.COMPUTE_HIJACKING("{workload} mines with CPU time that you pay for"),
        ),
        (
            "the image: its registry, its digest, and whether anybody of yours meant to run it",
            _DEPLOYER,
            "what else that account created or changed since: other services, jobs and regions",
            RELATED,
        ),
        _images,
    ),
    _ControlPlaneType(
        "cryptomining-commands",
        "Impact: Cryptomining Commands",
        "was executed with the commands of a cryptocurrency miner as its entry point",
        Verdict.CONTAIN,
        "the command line starts a miner, and nobody starts one by mistake",
        (
            attack.SERVERLESS_EXECUTION(
                "somebody who may start or change {workload} runs commands of their own in it"
            ),
            attack.COMPUTE_HIJACKING("{workload} mines with CPU time that you pay for"),
        ),
        (
            "the command and the arguments of the execution: pool, wallet, and where they were set",
            "who started the execution and who deployed the job, from which address",
            "the job's image: a clean image may be started with a miner's commands",
            RELATED,
        ),
        _images,
    ),
    _ControlPlaneType(
        "default-account-set-iam-policy",
        "Privilege Escalation: Default Compute Engine Service Account SetIAMPolicy",
        "had its IAM policy set by the default Compute Engine service account",
        Verdict.HOLD,
        "deployment pipelines that run as the default account set IAM policies as well",
        (
            attack.ADDITIONAL_CLOUD_ROLES(
                "who holds a token of the default account can let anybody call {workload}"
            ),
            attack.STEAL_TOKEN(
                "the token may come from any workload of the project that runs as the default"
                " account, {workload} or another one"
            ),
        ),
        (
            "which policy was set, and by whom: the SetIamPolicy entry of the audit log",
            "whether allUsers or a foreign account may call it now; take such bindings out",
            "from where the call came: an address outside Google Cloud means a stolen token",
            "which workloads and instances run as the default account: the token is from one",
            RELATED,
        ),
        _policy_changes,
    ),
)

RESPONDERS = tuple(each.responder() for each in TABLE)
