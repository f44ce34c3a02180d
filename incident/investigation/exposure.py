"""Describe exposure: entry point, identity, secrets, environment, volumes. Pure.

Does not describe the finding itself: the responder does. Every topic is described: where evidence
is missing, as unknown with the reason.
"""

from __future__ import annotations

from incident.investigation.affected import account_email
from incident.investigation.callers import describe_callers
from incident.investigation.deployments import describe_deployment
from incident.investigation.shells import describe_shells
from incident.model import (
    AffectedRevision,
    Evidence,
    ExposureFact,
    ExposureTopic,
    Kind,
    RelatedFinding,
    Relation,
    Volume,
    is_default_service_account,
)

_INGRESS_TEXTS = {
    "INGRESS_TRAFFIC_ALL": "anybody on the internet reaches it",
    "INGRESS_TRAFFIC_INTERNAL_ONLY": "only this project's networks and Google services reach it",
    "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER": "internal networks and load balancers reach it",
    "INGRESS_TRAFFIC_NONE": "nothing reaches it",
}
_MAX_REVISIONS = 5
#: What becomes of a changed file on each kind of volume, whether the workload runs or not.
_PERSISTENT_TEXTS = {
    "gcs": "a file that was changed in a Cloud Storage bucket stays there, and comes back with"
    " every instance that mounts it",
    "nfs": "a file that was changed on a file share stays there, and comes back with every"
    " instance and every other machine that mounts it",
}
_PERSISTENT_DEFAULT_TEXT = "a file that was changed there outlives the instance"
_NON_PERSISTENT_TEXTS = {
    "gcs": "buckets mounted read-only could be read, not changed",
    "nfs": "file shares mounted read-only could be read, not changed",
    "cloud-sql": "the databases behind its Cloud SQL connections could be reached, and keep what"
    " was changed in them",
    "empty_dir": "what is in memory is lost with its instance",
}
_MAX_NAMES = 5
_SERIOUS_KINDS = frozenset({"cloud-sql"})
_KIND_ALIASES = {"empty-dir": "empty_dir", "memory": "empty_dir"}


def describe_exposure(evidence: Evidence) -> tuple[ExposureFact, ...]:
    """The entry point, what can be reached from inside, and who deployed the code."""
    workload = evidence.finding.workload
    if workload is None:
        return ()
    return (
        _describe_entry_point(evidence, workload.kind),
        *describe_callers(evidence, workload.kind),
        *describe_shells(evidence),
        _describe_affected_revision(evidence),
        *_describe_identities(evidence),
        *_describe_secrets(evidence),
        *describe_volumes(evidence),
        *describe_deployment(evidence),
    )


def related_findings(evidence: Evidence) -> tuple[RelatedFinding, ...]:
    """The other findings on the workload by time, each with its relation to this one."""
    return evidence.correlations or ()


def _describe_entry_point(evidence: Evidence, kind: Kind) -> ExposureFact:
    configuration = evidence.configuration
    if kind not in (Kind.SERVICE, Kind.INSTANCE):
        text = f"a {kind.label} takes no requests: it is reached by what it reads and fetches"
        return ExposureFact(ExposureTopic.ENTRY_POINT, text, "finding")
    if configuration is None:
        text = f"from where it is reached is {evidence.describe_gap('settings')}"
        return ExposureFact(ExposureTopic.ENTRY_POINT, text, "settings", known=False)
    ingress = str(configuration.fields.get("ingress") or "INGRESS_TRAFFIC_ALL")
    text = _INGRESS_TEXTS.get(ingress, f"its ingress is {ingress}")
    open_wide = ingress == "INGRESS_TRAFFIC_ALL"
    if configuration.fields.get("defaultUriDisabled"):
        text = (
            "its default URL is switched off: it is reached through load balancers, domain"
            f" mappings and Google services only; {text}, by ingress"
        )
        return ExposureFact(ExposureTopic.ENTRY_POINT, text, "settings", serious=open_wide)
    names = (configuration.uri,) if configuration.uri else ()
    at = f" at {configuration.uri}" if configuration.uri else ""
    return ExposureFact(
        ExposureTopic.ENTRY_POINT, f"{text}{at}, by ingress", "settings", names, serious=open_wide
    )


def _describe_affected_revision(evidence: Evidence) -> ExposureFact:
    """The affected revision or execution: each may reach different things."""
    affected = evidence.affected_revision
    union = (
        "; what is in reach is told for all of them together" if len(affected.templates) > 1 else ""
    )
    return ExposureFact(
        ExposureTopic.AFFECTED_REVISION,
        f"it ran in {affected.description}: {affected.reason}{union}",
        affected.evidence_source,
    )


def _describe_identities(evidence: Evidence) -> tuple[ExposureFact, ...]:
    if not evidence.affected_revision.templates:
        text = f"the service account that it ran as is {evidence.describe_gap('settings')}"
        return (ExposureFact(ExposureTopic.IDENTITY, text, "settings", known=False),)
    affected = evidence.affected_revision
    return tuple(
        _describe_service_account(account, affected, _other_users(account, evidence))
        for account in affected.service_accounts
    )


def _other_users(account: str, evidence: Evidence) -> str:
    """The other workloads that run as an account, as a clause; empty where that is not known.

    The inventory has those in its scope only, and lags behind by minutes.
    """
    affected, workload = evidence.affected, evidence.finding.workload
    if affected is None or not affected.complete or workload is None:
        return ""
    email = account_email(account, workload)
    users = [
        each.workload.name
        for each in affected.workloads
        if Relation.ACCOUNT in each.relations and email in each.service_accounts
    ]
    if not email:
        return ""
    if not users:
        return f"in {affected.scope} the inventory lists no other workload that runs as it"
    more = f" and {len(users) - _MAX_NAMES} more" if len(users) > _MAX_NAMES else ""
    return f"these run as it too: {', '.join(users[:_MAX_NAMES])}{more}"


def _describe_service_account(
    account: str, affected: AffectedRevision, others: str
) -> ExposureFact:
    runs = [each.revision for each in affected.templates if each.service_account == account]
    revision_clause = (
        f"in {', '.join(runs[:_MAX_REVISIONS])} "
        if len(affected.service_accounts) > 1 and all(runs)
        else ""
    )
    identity_risk = (
        "its tokens may have been taken, and stay good for up to an hour after a containment"
    )
    name = account or "the project's default service account"
    if is_default_service_account(account):
        what = ", a default service account" if account else ""
        text = (
            f"{revision_clause}it runs as {name}{what}: {identity_risk}. Often it may edit"
            " all of the project;"
            f" {others or 'other workloads of the project may run as it too (not checked)'}"
        )
    else:
        text = (
            f"{revision_clause}it runs as {name}, a user-managed service account:"
            f" {identity_risk}. "
            + (
                f"What it may do is not checked; {others}"
                if others
                else "What it may do, and which other workloads run as it, is not checked"
            )
        )
    return ExposureFact(
        ExposureTopic.IDENTITY, text, affected.template_source, (name,), serious=True
    )


def _describe_secrets(evidence: Evidence) -> tuple[ExposureFact, ...]:
    affected, source = evidence.affected_template, evidence.affected_revision.template_source
    if affected is None:
        text = f"which secrets were in its reach is {evidence.describe_gap('settings')}"
        return (
            ExposureFact(ExposureTopic.SECRETS, text, "settings", known=False),
            *_describe_environment(evidence),
        )
    if affected.secret_names:
        text = "it could read these secrets, which are to be rotated"
        point = ExposureFact(
            ExposureTopic.SECRETS, text, source, affected.secret_names, serious=True
        )
    else:
        text = (
            "no secret of Secret Manager is given to"
            f" it{evidence.affected_revision.current_only_note}; what its account"
            " may read besides is not checked"
        )
        point = ExposureFact(ExposureTopic.SECRETS, text, source)
    return (point, *_describe_environment(evidence))


def _describe_environment(evidence: Evidence) -> tuple[ExposureFact, ...]:
    affected = evidence.affected_template
    finding_names = {name for each in evidence.finding.processes for name in each.environment_names}
    names = {
        name for c in (affected.containers if affected else ()) for name in c.environment_names
    }
    source = evidence.affected_revision.template_source if affected else "finding"
    if affected is None:
        text = (
            f"which environment variables its settings have is {evidence.describe_gap('settings')}"
        )
        hint = "; rotate what is secret among those that the finding names" if finding_names else ""
        named = tuple(sorted(finding_names))
        return (
            ExposureFact(ExposureTopic.ENVIRONMENT, f"{text}{hint}", source, named, known=False),
        )
    if not names | finding_names:
        text = f"it has no environment variables{evidence.affected_revision.current_only_note}"
        return (ExposureFact(ExposureTopic.ENVIRONMENT, text, source),)
    text = "its environment variables were in reach as well; rotate what is secret among them"
    return (
        ExposureFact(ExposureTopic.ENVIRONMENT, text, source, tuple(sorted(names | finding_names))),
    )


def describe_volumes(evidence: Evidence) -> tuple[ExposureFact, ...]:
    """A fact for each kind of volume: whether a changed file there outlives the instance.

    Mounted secrets are listed with the secrets.
    """
    affected, source = evidence.affected_template, evidence.affected_revision.template_source
    if affected is None:
        text = f"what it mounts is {evidence.describe_gap('settings')}"
        return (ExposureFact(ExposureTopic.VOLUMES, text, "settings", known=False),)
    persistent = [volume for volume in affected.volumes if volume.persists]
    points = [*_describe_kinds(persistent, source, persistent=True)]
    if not persistent:
        text = (
            "it mounts nothing that keeps a changed"
            f" file{evidence.affected_revision.current_only_note}: what was changed"
            " in the container's own file system lasts as long as its instance, and is lost when"
            " that stops"
        )
        points.append(ExposureFact(ExposureTopic.VOLUMES, text, source))
    others = [v for v in affected.volumes if not v.persists and _volume_kind(v) != "secret"]
    return (*points, *_describe_kinds(others, source, persistent=False))


def _describe_kinds(mounted: list[Volume], source: str, *, persistent: bool) -> list[ExposureFact]:
    texts = _PERSISTENT_TEXTS if persistent else _NON_PERSISTENT_TEXTS
    points = []
    for kind in dict.fromkeys(_volume_kind(volume) for volume in mounted):
        names = tuple(_volume_name(volume) for volume in mounted if _volume_kind(volume) == kind)
        default = (
            _PERSISTENT_DEFAULT_TEXT
            if persistent
            else f"whether a change to a volume of type {kind} lasts is not known"
        )
        text = f"it mounts {_names_text(names)}: {texts.get(kind, default)}"
        serious = persistent or kind in _SERIOUS_KINDS
        points.append(ExposureFact(ExposureTopic.VOLUMES, text, source, names, serious=serious))
    return points


def _names_text(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return f"{', '.join(names[:_MAX_NAMES])}{more}"


def _volume_kind(volume: Volume) -> str:
    """The first word of the volume's source, such as ``gcs``."""
    word = volume.source.replace("://", " ", 1).partition(" ")[0]
    return _KIND_ALIASES.get(word, word)


def _volume_name(volume: Volume) -> str:
    """The volume's source, or its name if the source is only a kind."""
    return volume.source if {" ", ":"} & set(volume.source) else volume.name
