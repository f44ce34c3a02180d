"""The policy: who may be contained, who may not, and why."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from incident.actions.catalogue import ACTIONS, available_actions
from incident.model import Kind, Mode, Workload
from incident.policy.resolve import (
    DEFAULT_CATEGORY,
    Hold,
    Policy,
    Resolution,
    Subject,
    explain_resolution,
    parse_policy,
    resolve,
)
from tests.support.constants import REPOSITORY

SCALE = (("scale-to-zero",),)
SHOP = Subject(
    workload=Workload(
        kind=Kind.SERVICE,
        location="europe-west1",
        name="storefront",
        project_id="shop-prod",
        project_number="210987654321",
        folders=("345678901234", "45"),
    ),
    categories=(DEFAULT_CATEGORY,),
    source_id="17",
    labels={"env": "prod", "team": ""},
)
UNKNOWN = replace(
    SHOP,
    labels=None,
    workload=replace(SHOP.workload, project_id=None, project_number=None, folders=None),
)


def policy(text: str) -> Policy:
    """A policy that scales services to zero, with more keys."""
    return parse_policy(f"contain: {{service: [scale-to-zero]}}\n{text}", source="test")


def rules(*rules: str) -> Policy:
    """A policy of rules, each in YAML's short form."""
    return policy("rules:\n" + "".join(f"- {rule}\n" for rule in rules))


def protect(entry: str) -> Policy:
    """A policy that protects what one entry says."""
    return policy(f"protect: [{entry}]")


def texts(resolution: Resolution) -> list[str]:
    """What the holds say."""
    return [hold.text for hold in resolution.holds]


def test_the_shipped_policy_scales_services_to_zero_as_a_dry_run() -> None:
    """What is deployed without a thought changes nothing and names one category."""
    shipped = parse_policy((REPOSITORY / "deploy/policy.yaml").read_bytes(), source="policy.yaml")
    assert resolve(shipped, SHOP) == Resolution("defaults", Mode.DRY_RUN, SCALE, ())
    assert shipped.categories == (DEFAULT_CATEGORY,)
    assert not shipped.rules
    assert not shipped.protect


def test_the_shipped_policy_spells_out_the_defaults() -> None:
    """Guards and evidence in the shipped file are what they would be without it."""
    shipped = parse_policy((REPOSITORY / "deploy/policy.yaml").read_bytes(), source="policy.yaml")
    spelled_out = shipped.guards.model_fields_set | shipped.evidence.model_fields_set
    contain = (
        "contain: {service: [scale-to-zero], worker-pool: [scale-to-zero],"
        " job: [cancel-executions, require-authentication], instance: [stop-instance]}"
    )
    assert shipped == parse_policy(contain, source="test")
    assert spelled_out == {*type(shipped.guards).model_fields, *type(shipped.evidence).model_fields}


def test_the_examples_in_the_shipped_policy_can_be_uncommented() -> None:
    """An operator who takes the comment signs away has a valid policy."""
    lines, inside = [], False
    for line in (REPOSITORY / "deploy/policy.yaml").read_text().splitlines():
        begins = re.match("# (rules|protect|virustotal|sources):", line)
        inside = bool(begins) or (inside and line.startswith("#   "))
        lines.append(line.removeprefix("# ") if inside else line)
    uncommented = parse_policy("\n".join(lines), source="policy.yaml")
    assert len(uncommented.rules) == 2
    assert len(uncommented.protect) == 3
    assert uncommented.virustotal
    assert uncommented.sources


def test_the_schema_in_the_repository_is_the_one_that_is_generated() -> None:
    """What editors check against is what the responder accepts."""
    printed = subprocess.run(
        [sys.executable, "-m", "incident.policy.schema"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    assert printed.stdout == (REPOSITORY / "deploy/policy.schema.json").read_bytes()
    assert not printed.stderr


def test_the_schema_describes_every_key() -> None:
    """An editor has something to say about each key."""
    schema = json.loads((REPOSITORY / "deploy/policy.schema.json").read_text())
    sections = [schema, *schema["$defs"].values()]
    for key, entry in (item for each in sections for item in each.get("properties", {}).items()):
        described = schema["$defs"].get(entry.get("$ref", "").rpartition("/")[2], entry)
        assert entry.get("description") or described.get("description"), key


def test_the_schema_offers_the_available_actions_only() -> None:
    """An editor proposes for a kind what this version can do for it."""
    contain = json.loads((REPOSITORY / "deploy/policy.schema.json").read_text())["$defs"]["Contain"]
    for kind, steps in contain["properties"].items():
        offered = steps["items"]["anyOf"][0]["enum"] if steps.get("maxItems") != 0 else []
        assert offered == available_actions(Kind(kind))


def test_every_action_that_is_carried_out_can_be_named_for_its_kinds() -> None:
    """The policy can ask for what containment can do, and for nothing else."""
    done = {(name, kind) for name, action in ACTIONS.items() for kind in action.desired_state}
    assert done == {(name, kind) for kind in Kind for name in available_actions(kind)}


def test_without_contain_nothing_is_named() -> None:
    """A policy that names no action contains nothing, whatever its mode."""
    resolution = resolve(parse_policy("mode: enforce", source="test"), SHOP)
    assert resolution.holds == (Hold("defaults: no action is named for a service", alarm=False),)


def test_a_policy_cannot_be_changed() -> None:
    """What was read is what is decided by."""
    with pytest.raises(ValidationError):
        policy("mode: dry-run").mode = Mode.ENFORCE  # type: ignore[misc]


def test_values_are_read_in_their_units() -> None:
    """Durations become timedeltas; zero is a legal cap; everything else is as written."""
    read = policy(
        "guards: {max_finding_age: 2d, max_containments_per_hour: 0}\n"
        "evidence: {log_window: 90s, deadline: 1m}\n"
        "virustotal: {min_malicious: 3}\n"
    )
    assert read.guards.max_finding_age == timedelta(days=2)
    assert read.guards.max_containments_per_hour == 0
    assert read.guards.max_per_project_per_hour == 3
    assert read.evidence.log_window == timedelta(seconds=90)
    assert read.evidence.deadline == timedelta(seconds=60)
    assert read.virustotal
    assert read.virustotal.when_unknown == "hold"


def test_a_nested_list_is_one_step_of_alternatives() -> None:
    """Alternatives stay together; a lone action is a step with one of them."""
    read = parse_policy("contain: {service: [[scale-to-zero]], job: []}", source="test")
    assert read.contain.service == SCALE
    assert read.contain.job == ()
    assert read.contain.worker_pool is None


#: A match in YAML's short form, and whether it means the shop.
MATCHES = [
    ('{services: ["storefront"]}', True),
    ('{services: ["store*"]}', True),
    ('{services: ["store"]}', False),
    ('{services: ["Storefront"]}', False),
    ('{services: ["storefron[st]"]}', True),
    ('{services: ["storefront.*"]}', False),
    ('{services: ["other", "s?orefront"]}', True),
    ('{jobs: ["storefront"]}', False),
    ('{jobs: ["storefront"], services: ["storefront"]}', True),
    ('{worker_pools: ["*"], jobs: ["*"]}', False),
    ('{projects: ["shop-prod"]}', True),
    ('{projects: ["shop"]}', False),
    ('{projects: ["210987654321"]}', True),
    ('{projects: ["2109*"]}', False),
    ('{projects: ["1", "shop-*"]}', True),
    ('{projects: ["sandbox-*", "2"]}', False),
    ('{folders: ["45"]}', True),
    ('{folders: ["3456*"]}', True),
    ('{folders: ["4"]}', False),
    ('{regions: ["europe-*"]}', True),
    ('{regions: ["europe"]}', False),
    ('{labels: {env: "prod"}}', True),
    ('{labels: {env: "p*"}}', True),
    ('{labels: {env: "prod", team: ""}}', True),
    ('{labels: {env: "prod", tier: "*"}}', False),
    ('{labels: {Env: "prod"}}', False),
    ('{services: ["storefront"], regions: ["us-*"]}', False),
    ('{services: ["storefront"], labels: {env: "prod"}}', True),
]


@pytest.mark.parametrize(("match", "means_it"), MATCHES)
def test_a_match_means_the_same_in_rules_and_in_protect(match: str, *, means_it: bool) -> None:
    """Every key must match, by one of its patterns, against whole names."""
    ruled = resolve(rules(f"{{name: this, match: {match}, mode: enforce}}"), SHOP)
    assert (ruled.rule, ruled.mode) == (
        ("this", Mode.ENFORCE) if means_it else ("defaults", Mode.DRY_RUN)
    )
    assert bool(resolve(protect(match), SHOP).holds) is means_it


@pytest.mark.parametrize(
    "match",
    [
        '{projects: ["shop-*"]}',
        '{projects: ["210987654321"]}',
        '{projects: ["no", "1"]}',
        '{folders: ["1"]}',
        '{labels: {env: "dev"}}',
        '{services: ["storefront"], labels: {env: "dev"}}',
    ],
)
def test_what_cannot_be_known_holds_and_raises_an_alarm(match: str) -> None:
    """An unknown label, folder or project protects, and leaves a rule undecided."""
    for unsure in (protect(match), rules(f"{{name: this, match: {match}}}")):
        resolution = resolve(unsure, UNKNOWN)
        assert [hold.alarm for hold in resolution.holds] == [True]
        assert "not known for this workload" in resolution.holds[0].text


def test_a_known_no_outweighs_what_is_unknown() -> None:
    """A rule or an entry for another service is not kept open by labels that are not known."""
    match = '{services: ["other"], labels: {env: "dev"}}'
    assert resolve(protect(match), UNKNOWN).holds == ()
    assert resolve(rules(f"{{name: this, match: {match}}}"), UNKNOWN).rule == "defaults"


def test_the_project_number_will_do_where_the_id_is_unknown() -> None:
    """One pattern that certainly matches settles the key."""
    by_number = replace(SHOP, workload=replace(SHOP.workload, project_id=None))
    hold = resolve(protect('{projects: ["sandbox-*", "210987654321"]}'), by_number).holds[0]
    assert hold.text == (
        "the workload is protected by protect[0] "
        '(projects (number): "210987654321" is among "210987654321")'
    )
    assert not hold.alarm


def test_a_known_id_does_not_answer_for_an_unknown_number() -> None:
    """One pattern that certainly fails does not settle a key with another that may match."""
    by_id = replace(SHOP, workload=replace(SHOP.workload, project_number=None))
    assert resolve(protect('{projects: ["sandbox-*", "210987654321"]}'), by_id).holds[0].alarm


def test_an_undecided_rule_ends_the_search() -> None:
    """A rule that may be the exception is not passed over for one that matches surely."""
    undecided = rules(
        "{name: exception, match: {labels: {keep: open}}, contain: {service: []}}",
        '{name: all, match: {services: ["*"]}, mode: enforce}',
    )
    assert resolve(undecided, UNKNOWN) == Resolution(
        rule=None,
        mode=Mode.DRY_RUN,
        steps=(),
        holds=(
            Hold(
                'rule "exception" may apply or not (labels: not known for this workload)',
                alarm=True,
            ),
        ),
    )
    assert resolve(undecided, SHOP).rule == "all"


def test_the_first_rule_that_matches_applies() -> None:
    """Later rules that match too have no say."""
    both = rules(
        '{name: one, match: {regions: ["europe-*"]}}',
        '{name: two, match: {services: ["*"]}, mode: enforce}',
    )
    assert resolve(both, SHOP) == Resolution("one", Mode.DRY_RUN, SCALE, ())


def test_a_rule_takes_from_above_what_it_leaves_out() -> None:
    """Mode and steps come from the top level, the steps kind by kind."""
    one = rules('{name: one, match: {regions: ["*"]}, contain: {job: []}, mode: approve}')
    assert resolve(one, SHOP) == Resolution("one", Mode.APPROVE, SCALE, ())


def test_an_empty_list_means_that_nothing_is_done() -> None:
    """A rule can take the actions of a kind away, and the finding is held."""
    one = rules('{name: one, match: {regions: ["*"]}, contain: {service: []}}')
    assert resolve(one, SHOP) == Resolution(
        rule="one",
        mode=Mode.DRY_RUN,
        steps=(),
        holds=(Hold('rule "one": no action is named for a service', alarm=False),),
    )


def test_an_unnamed_category_is_held() -> None:
    """Other findings on the same workload are none of this policy's business."""
    other = replace(SHOP, categories=("Execution: Other",))
    assert resolve(rules('{name: one, match: {services: ["*"]}}'), other) == Resolution(
        rule=None,
        mode=Mode.DRY_RUN,
        steps=(),
        holds=(
            Hold(
                'no rule and no default of the policy applies (categories: "Execution: Other" '
                f'is not among "{DEFAULT_CATEGORY}")',
                alarm=False,
            ),
        ),
    )


def test_a_rule_may_name_other_categories() -> None:
    """A rule's categories are patterns, and stand in place of the top level's."""
    named = rules('{name: one, match: {categories: ["Execution: O*"]}}')
    assert resolve(named, replace(SHOP, categories=("Execution: Other",))).rule == "one"
    assert resolve(named, SHOP).rule == "defaults"


def test_a_finding_of_another_source_is_held() -> None:
    """Where sources are pinned, others contain nothing; without a pin any will do."""
    assert resolve(policy('sources: ["17"]'), SHOP).holds == ()
    assert texts(resolve(policy('sources: ["1"]'), SHOP)) == [
        'the finding comes from source "17", not from 1'
    ]


def test_a_hold_by_a_label_raises_an_alarm() -> None:
    """An attacker may have set the label, wherever it takes effect."""
    shielded = protect("{labels: {env: prod}}")
    disarmed = rules("{name: shield, match: {labels: {env: prod}}, contain: {service: []}}")
    for held in (shielded, disarmed):
        assert [hold.alarm for hold in resolve(held, SHOP).holds] == [True]


def test_a_hold_for_want_of_a_label_raises_an_alarm() -> None:
    """An attacker may have taken the label away that let a rule act."""
    acting = "{name: sandbox, match: {labels: {env: dev}}, contain: {service: [scale-to-zero]}}"
    held = parse_policy(f"rules: [{acting}]", source="test")
    assert resolve(held, SHOP).holds == (
        Hold("defaults: no action is named for a service", alarm=True),
    )


def test_the_surest_protection_is_named() -> None:
    """Where a project protects for certain, a label or a doubt beside it is no alarm."""
    sure = policy(
        'protect: [{labels: {env: dev}}, {labels: {a: b}, services: ["*"]}, {regions: ["eu*"]}]'
    )
    hold = resolve(sure, UNKNOWN).holds[0]
    assert hold.text.startswith("the workload is protected by protect[2]")
    assert not hold.alarm


def test_every_reason_to_hold_is_given() -> None:
    """One hold does not hide another."""
    strict = policy('sources: ["1"]\nprotect: [{regions: ["*"]}]')
    assert len(resolve(strict, replace(SHOP, categories=("Other",))).holds) == 3


def test_hostile_text_stays_on_one_line() -> None:
    """A category with control characters or without an end cannot break a message."""
    long = "\n\x1b[31m\u202e" + "A" * 10_000
    hold = resolve(policy(""), replace(SHOP, categories=(long,))).holds[0]
    assert hold.text.isprintable()
    assert len(hold.text) < 300


def test_an_explanation_lists_every_rule_that_was_tried() -> None:
    """Every entry and rule up to the one that applies, with its answer and reason."""
    explained = policy(
        'protect: [{projects: ["security-*"]}]\n'
        "rules:\n"
        '- {name: one, match: {labels: {env: dev}, services: ["*"]}}\n'
        '- {name: two, match: {services: ["store*"]}, mode: enforce}\n'
        '- {name: three, match: {services: ["*"]}}\n'
    )
    assert "\n".join(explain_resolution(explained, SHOP)) == (
        'protect[0]: no, projects (id): "shop-prod" is not among "security-*"\n'
        'rule "one": no, labels: env=dev does not match\n'
        f'rule "two": yes, categories: "{DEFAULT_CATEGORY}" is among "{DEFAULT_CATEGORY}"; '
        'name: "storefront" is among "store*"\n'
        "may act: scale-to-zero, mode enforce"
    )
    assert "\n".join(explain_resolution(explained, UNKNOWN)[-2:]) == (
        "held: the workload counts as protected by protect[0] "
        "(projects (id): not known for this workload)\n"
        'held: rule "one" may apply or not (labels: not known for this workload)'
    )


# Few names and numbers, so that patterns and workloads meet often.
NAMES = st.sampled_from(["a", "b", "ab"])
NUMBERS = st.sampled_from(["1", "2", "12"])
LABELS = st.dictionaries(st.sampled_from(["a", "b"]), NAMES, max_size=2)
GLOBS = ["a", "b", "a*", "?", "[!a]"]
KEYS: list[tuple[str, object]] = [
    *(("projects", [glob]) for glob in (*GLOBS, "1", "12")),
    *(("projects", [glob, number]) for glob in ("a", "b*") for number in ("1", "2")),
    *(("folders", [number]) for number in ("1", "2", "1*")),
    *(("labels", {label: glob}) for label in ("a", "b") for glob in GLOBS),
    *((key, [glob]) for key in ("regions", "services", "jobs", "worker_pools") for glob in GLOBS),
]
MATCH_DATA = st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(dict)
RULES = st.lists(
    st.fixed_dictionaries(
        {"match": MATCH_DATA},
        optional={
            "mode": st.sampled_from([mode.value for mode in Mode]),
            "contain": st.sampled_from([{"service": []}, {"service": ["scale-to-zero"]}]),
        },
    ),
    max_size=3,
)
WORKLOADS = st.builds(
    Workload,
    kind=st.sampled_from([Kind.SERVICE, Kind.SERVICE, Kind.JOB, Kind.WORKER_POOL]),
    location=NAMES,
    name=NAMES,
    project_id=NAMES,
    project_number=NUMBERS,
    folders=st.lists(NUMBERS, max_size=2).map(tuple),
)
SUBJECTS = st.builds(
    Subject,
    workload=WORKLOADS,
    categories=st.sampled_from([(DEFAULT_CATEGORY,), (DEFAULT_CATEGORY,), ("Other",)]),
    source_id=NUMBERS,
    labels=LABELS,
)
POLICIES = st.builds(
    lambda rules, protect, mode: Policy.model_validate(
        {
            "mode": mode,
            "contain": {"service": ["scale-to-zero"]},
            "rules": [{"name": f"r{at}", **rule} for at, rule in enumerate(rules)],
            "protect": protect,
        }
    ),
    RULES,
    st.lists(MATCH_DATA, max_size=2),
    st.sampled_from([mode.value for mode in Mode]),
)
repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=100)


def means(match: Mapping[str, object], subject: Subject) -> bool:
    """What a match means, written once more and without a thought for what is unknown."""
    workload = subject.workload
    values = {
        "folders": workload.folders or (),
        "regions": (workload.location,),
        f"{workload.kind.value.replace('-', '_')}s": (workload.name,),
    }
    for key, patterns in match.items():
        if key == "labels":
            assert isinstance(patterns, dict)
            have = subject.labels or {}
            hit = all(k in have and fnmatchcase(have[k], p) for k, p in patterns.items())
        elif key == "projects":
            assert isinstance(patterns, list)
            names = {True: workload.project_number, False: workload.project_id}
            hit = any(fnmatchcase(names[p.isdigit()] or "", p) for p in patterns)
        elif key not in values and f"{workload.kind.value.replace('-', '_')}s" in match:
            hit = True
        else:
            assert isinstance(patterns, list)
            hit = any(fnmatchcase(v, p) for v in values.get(key, ()) for p in patterns)
        if not hit:
            return False
    return True


@given(MATCH_DATA, SUBJECTS)
@repeatable
def test_matching_is_globbing_of_whole_names(match: dict[str, object], subject: Subject) -> None:
    """Where everything is known, a match is neither looser nor tighter than the shell's globs."""
    protecting = Policy.model_validate({"protect": [match]})
    protected = any("protected" in hold.text for hold in resolve(protecting, subject).holds)
    assert protected is means(match, subject)


@given(POLICIES, SUBJECTS, MATCH_DATA)
@repeatable
def test_protection_overrides_every_rule(
    ruled: Policy, subject: Subject, match: dict[str, object]
) -> None:
    """Whatever the rules say, a workload that an entry means is held."""
    entry = Policy.model_validate({"protect": [match]}).protect[0]
    protecting = ruled.model_copy(update={"protect": (*ruled.protect, entry)})
    if means(match, subject):
        assert resolve(protecting, subject).holds


@given(
    POLICIES,
    SUBJECTS.filter(
        lambda each: each.workload.kind is Kind.SERVICE and each.categories == (DEFAULT_CATEGORY,)
    ),
    WORKLOADS,
    LABELS,
    st.sets(st.sampled_from("infl"), min_size=1),
)
@settings(repeatable, max_examples=150)
def test_an_unknown_value_never_allows_what_a_known_one_would_hold(
    ruled: Policy, subject: Subject, truth: Workload, labels: dict[str, str], hidden: set[str]
) -> None:
    """If a subject with gaps may be acted on, so it may, alike, whatever fills the gaps."""
    known, none = subject.workload, subject.workload
    if "i" in hidden:
        known, none = replace(known, project_id=truth.project_id), replace(none, project_id=None)
    if "n" in hidden:
        known = replace(known, project_number=truth.project_number)
        none = replace(none, project_number=None)
    if "f" in hidden:
        known, none = replace(known, folders=truth.folders), replace(none, folders=None)
    filled, unsure = replace(subject, workload=known), replace(subject, workload=none)
    if "l" in hidden:
        filled, unsure = replace(filled, labels=labels), replace(unsure, labels=None)
    resolution = resolve(ruled, unsure)
    if not resolution.holds:
        assert resolve(ruled, filled) == resolution


@given(POLICIES, SUBJECTS)
@repeatable
def test_a_hold_always_says_why_and_acting_always_names_its_actions(
    ruled: Policy, subject: Subject
) -> None:
    """There is no third way between holds with texts and steps under a named rule."""
    resolution = resolve(ruled, subject)
    assert all(hold.text.isprintable() for hold in resolution.holds)
    if not resolution.holds:
        assert resolution.rule
        assert resolution.steps == SCALE
        assert subject.categories == (DEFAULT_CATEGORY,)
        assert subject.workload.kind is Kind.SERVICE
    assert explain_resolution(ruled, subject)
