"""Names of resources, projects, folders and findings, and what is read out of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from incident.model import Kind, Workload
from incident.notification.resource_names import (
    MessageNames,
    ProjectName,
    folder_number,
    is_organisation,
    parse_finding_name,
    parse_project,
    parse_resource_name,
    quote_untrusted,
    resolve_workload,
)

HOST = "//run.googleapis.com/"
PLACE = f"{HOST}projects/example-shop-prod/locations/europe-west1"

repeatable = settings(deadline=None, derandomize=True, database=None, max_examples=100)

labels = st.from_regex(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
project_ids = st.from_regex(
    r"([a-z0-9][a-z0-9.-]{0,20}:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", fullmatch=True
)
project_numbers = st.integers(min_value=1, max_value=10**18).map(str)


@pytest.mark.parametrize(
    ("tail", "kind", "name", "revision", "execution"),
    [
        ("services/shop", Kind.SERVICE, "shop", None, None),
        ("services/shop/revisions/shop-00042-abc", Kind.SERVICE, "shop", "shop-00042-abc", None),
        ("jobs/report", Kind.JOB, "report", None, None),
        ("jobs/report/executions/report-x7k2p", Kind.JOB, "report", None, "report-x7k2p"),
        ("jobs/report/executions/r-x7/tasks/r-x7-task0", Kind.JOB, "report", None, "r-x7"),
        ("workerPools/mailer", Kind.WORKER_POOL, "mailer", None, None),
        ("instances/agent", Kind.INSTANCE, "agent", None, None),
        ("workerPools/mailer/revisions/mailer-1", Kind.WORKER_POOL, "mailer", "mailer-1", None),
    ],
)  # fmt: skip
def test_every_form_is_reduced_to_its_workload(
    tail: str, kind: Kind, name: str, revision: str | None, execution: str | None
) -> None:
    """A revision, an execution or a task belongs to the service, job or pool that owns it."""
    named = parse_resource_name(f"{PLACE}/{tail}")

    assert named.workload == Workload(kind, "europe-west1", name, "example-shop-prod", None)
    assert (named.host, named.revision, named.execution) == (
        "run.googleapis.com",
        revision,
        execution,
    )


@pytest.mark.parametrize(
    ("project", "by_id", "by_number"),
    [
        ("example-shop-prod", "example-shop-prod", None),
        ("210987654321", None, "210987654321"),
        ("example.com:shop-prod", "example.com:shop-prod", None),
    ],
)
def test_the_project_is_taken_as_it_is_spelled(
    project: str, by_id: str | None, by_number: str | None
) -> None:
    """An id, an id of an old domain-scoped project, or a number: never one for the other."""
    named = parse_resource_name(f"{HOST}projects/{project}/locations/europe-west1/services/shop")

    assert named.workload is not None
    assert (named.workload.project_id, named.workload.project_number) == (by_id, by_number)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "//",
        HOST,
        f"{PLACE}",
        f"{PLACE}/services/",
        f"{PLACE}/services/shop/",
        f"{PLACE}/services/shop\n",
        f"{PLACE}/services/Shop",
        f"{PLACE}/services/-shop",
        f"{PLACE}/services/shop-",
        f"{PLACE}/services/shöp",
        f"{PLACE}/services/shop٣",
        f"{PLACE}/services/sh%6fp",
        f"{PLACE}/services/{'s' * 64}",
        f"{PLACE}/services/shop/revisions/",
        f"{PLACE}/services/shop/revisions/../../other",
        f"{PLACE}/services/shop/executions/shop-1",
        f"{PLACE}/Services/shop",
        f"{PLACE}/worker-pools/mailer",
        f"{PLACE}/instances/agent/revisions/agent-1",
        f"{PLACE}//services/shop",
        f"{PLACE}/namespaces/x/services/shop",
        f"{HOST}projects/-/locations/europe-west1/services/shop",
        f"{HOST}projects/shop/locations/europe-west1/services/shop",
        f"{HOST}projects/0123456/locations/europe-west1/services/shop",
        f"{HOST}projects/example-shop-prod/locations/-/services/shop",
        f"{HOST}projects/a/projects/example-shop-prod/locations/europe-west1/services/shop",
        PLACE.removeprefix("//") + "/services/shop",
        "projects/example-shop-prod/locations/europe-west1/services/shop",
        "//run.googleapis.com.example.org/projects/example-shop-prod/locations/l1/services/shop",
        "//example.org/run.googleapis.com/projects/example-shop-prod/locations/l1/services/shop",
        "///run.googleapis.com/projects/example-shop-prod/locations/l1/services/shop",
        "//container.googleapis.com/projects/example-shop-prod/locations/l1/clusters/shop",
        "//container.googleapis.com/projects/example-shop-prod/locations/l1/services/shop",
    ],
)
def test_what_cloud_run_would_not_allow_names_no_workload(name: str) -> None:
    """Nothing is guessed from a name in another form: it is left to a person."""
    named = parse_resource_name(name)

    assert (named.workload, named.revision, named.execution) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (f"{PLACE}/services/shop", "run.googleapis.com"),
        ("//RUN.googleapis.com/projects/p", "run.googleapis.com"),
        ("//container.googleapis.com/x/y", "container.googleapis.com"),
        ("//host", "host"),
        ("//", ""),
        ("https://run.googleapis.com/x", ""),
        ("projects/p", ""),
    ],
)
def test_the_host_is_parsed_between_the_slashes(name: str, host: str) -> None:
    """The host is compared in lower case; a name that does not begin with it has none."""
    assert parse_resource_name(name).host == host


@repeatable
@given(st.sampled_from(list(Kind)), st.one_of(project_ids, project_numbers), labels, labels, labels)
def test_what_a_name_is_made_of_comes_out_again(
    kind: Kind, project: str, location: str, name: str, detail: str
) -> None:
    """Any legal project, region, name and detail survive, with and without the detail."""
    of_job = kind is Kind.JOB
    owner = f"{HOST}projects/{project}/locations/{location}/{kind.collection}/{name}"

    plain = parse_resource_name(owner)
    detailed = parse_resource_name(f"{owner}/{'executions' if of_job else 'revisions'}/{detail}")

    assert plain.workload is not None
    assert f"{HOST}{plain.workload.resource_name}" == owner
    if kind is Kind.INSTANCE:
        assert detailed.workload is None  # it has no parts
        return
    assert detailed.workload == plain.workload
    assert (detailed.execution if of_job else detailed.revision) == detail


@repeatable
@given(st.text(), st.text(alphabet="/a-z:.0\n", max_size=60))
def test_no_text_makes_it_raise(text: str, near: str) -> None:
    """Whatever a name looks like, it is a workload in full or none."""
    for name in (text, f"//{text}", f"{HOST}projects/{near}", f"{PLACE}/services/{near}"):
        named = parse_resource_name(name)
        assert named.workload is None or f"{HOST}{named.workload.resource_name}" in name


@pytest.mark.parametrize("parent", ["organizations/123", "folders/45", "projects/my-shop-1"])
@pytest.mark.parametrize("location", ["", "/locations/global", "/locations/eu"])
@pytest.mark.parametrize("source", ["1234567890123456789", "5-a"])
@pytest.mark.parametrize("finding", ["0", "1a9b70556ba3e8cbe635114c625da879", "A_b-9"])
def test_a_finding_has_its_ids_under_every_parent(
    parent: str, location: str, source: str, finding: str
) -> None:
    """Versions 1 and 2 of the API name the same source and the same finding."""
    named = parse_finding_name(f"{parent}/sources/{source}{location}/findings/{finding}")

    assert named is not None
    assert (named.parent, named.source_id, named.finding_id) == (parent, source, finding)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "findings/1",
        "organizations/1/sources/2/findings/",
        "organizations/1/sources/-/findings/3",
        "organizations/1/sources/2/locations/-/findings/3",
        "organizations/1/sources/2/findings/3/securityMarks",
        "organizations/1/sources/2/findings/a b",
        "organizations/1/sources/2/findings/../x",
        "organizations/1/sources/2/findings/3\n",
        "organizations/1/2/sources/2/findings/3",
        "billingAccounts/1/sources/2/findings/3",
        f"organizations/1/sources/2/findings/{'f' * 129}",
        f"organizations/1/sources/{'2' * 65}/findings/3",
    ],
)
def test_anything_else_names_no_finding(name: str) -> None:
    """A wildcard, a longer path or a foreign character is not a finding's name."""
    assert parse_finding_name(name) is None


@pytest.mark.parametrize(
    ("text", "project"),
    [
        ("example-shop-prod", ProjectName("example-shop-prod", None)),
        ("projects/210987654321", ProjectName(None, "210987654321")),
        (
            "//cloudresourcemanager.googleapis.com/projects/210987654321",
            ProjectName(None, "210987654321"),
        ),
        ("example.com:shop-prod", ProjectName("example.com:shop-prod", None)),
        ("Example Shop", ProjectName(None, None)),
        ("organizations/123", ProjectName(None, None)),
        ("", ProjectName(None, None)),
    ],
)
def test_a_project_is_parsed_from_id_or_number(text: str, project: ProjectName) -> None:
    """A display name that is no project id is not known, rather than wrong."""
    assert parse_project(text) == project


def test_folders_and_organisations_are_distinguished() -> None:
    """Short and full names are the same; a folder is never taken for an organisation."""
    manager = "//cloudresourcemanager.googleapis.com/"
    assert folder_number(f"{manager}folders/345") == folder_number("folders/345") == "345"
    assert folder_number("folders/retail") is None
    assert folder_number("organizations/345") is None
    assert is_organisation(f"{manager}organizations/1")
    assert is_organisation("organizations/1")
    assert not is_organisation("folders/1")


@repeatable
@given(st.one_of(st.text(), st.text(alphabet="\x00\U0010ffff'\"\\\n", min_size=30)))
def test_a_quotation_is_short_and_on_one_line(text: str) -> None:
    """However long or odd the text, its quotation is printable and bounded."""
    assert len(quote_untrusted(text)) <= 80
    assert quote_untrusted(text).isprintable()


SERVICE = Workload(Kind.SERVICE, "europe-west1", "shop", "example-shop-prod", None)


def claims(
    resources: tuple[str, ...] = (),
    findings: tuple[str, ...] = (),
    projects: tuple[str, ...] = (),
    folders: tuple[tuple[str, ...] | None, ...] = (),
) -> MessageNames:
    """Give each claim a place of its own: ``r0``, ``r1`` and so on."""
    return MessageNames(
        resources=tuple((f"r{index}", name) for index, name in enumerate(resources)),
        findings=tuple((f"f{index}", name) for index, name in enumerate(findings)),
        projects=tuple((f"p{index}", name) for index, name in enumerate(projects)),
        folders=tuple((f"o{index}", names) for index, names in enumerate(folders)),
    )


def test_id_number_and_folders_come_from_wherever_they_stand() -> None:
    """The resource name gives one spelling of the project; other places give the rest."""
    workload, doubts = resolve_workload(
        SERVICE,
        claims(
            resources=(f"{PLACE}/services/shop",),
            findings=("projects/210987654321/sources/1/findings/2",),
            projects=("projects/210987654321",),
            folders=(None, ("folders/3", "folders/4"), ("3", "4")),
        ),
    )

    assert workload is not None
    assert (workload.project_id, workload.project_number) == ("example-shop-prod", "210987654321")
    assert workload.folders == ("3", "4")
    assert doubts == ()


@pytest.mark.parametrize(
    ("disagreeing", "sentence"),
    [
        (
            claims(resources=(f"{PLACE}/services/shop",), projects=("example-shop-test",)),
            "The project's id is 'example-shop-prod' in r0, but 'example-shop-test' in p0.",
        ),
        (
            claims(projects=("111",), findings=("projects/222/sources/1/findings/2",)),
            "The project's number is '111' in p0, but '222' in f0.",
        ),
        (
            claims(folders=(("folders/3",), ())),
            "The path of folders is '3' in o0, but '' in o1.",
        ),
        (
            claims(
                resources=(
                    f"{PLACE}/services/shop",
                    f"{HOST}projects/example-shop-prod/locations/l1/jobs/other",
                )
            ),
            "The resource is 'europe-west1/services/shop' in r0, but 'l1/jobs/other' in r1.",
        ),
        (
            claims(resources=(f"{PLACE}/services/shop", "//example.org/x")),
            "The resource is 'europe-west1/services/shop' in r0, but '//example.org/x' in r1.",
        ),
        (
            claims(findings=("projects/1/sources/2/findings/3", "folders/9/sources/2/findings/4")),
            "The finding is '2/3' in f0, but '2/4' in f1.",
        ),
    ],
)
def test_a_contradiction_is_reported_and_not_raised(
    disagreeing: MessageNames, sentence: str
) -> None:
    """Each subject on which two places disagree becomes one sentence that names both."""
    _, doubts = resolve_workload(SERVICE, disagreeing)

    assert sentence in doubts
    assert len(doubts) == 1


def test_two_spellings_are_no_disagreement() -> None:
    """Id and number, owner and revision, organisation and project: all name the same."""
    by_number = PLACE.replace("example-shop-prod", "210987654321")
    workload, doubts = resolve_workload(
        SERVICE,
        claims(
            resources=(f"{PLACE}/services/shop", f"{by_number}/services/shop/revisions/shop-1"),
            findings=("projects/210987654321/sources/1/locations/global/findings/2",
                      "organizations/5/sources/1/findings/2"),
            projects=("projects/210987654321", "example-shop-prod", "The Shop"),
        ),
    )  # fmt: skip

    assert doubts == ()
    assert workload is not None
    assert workload.folders is None


def test_no_folders_are_not_the_same_as_unknown_folders() -> None:
    """An empty path is known to be empty; one folder without a number makes it unknown."""
    empty, _ = resolve_workload(SERVICE, claims(folders=((),)))
    unknown, _ = resolve_workload(SERVICE, claims(folders=(("folders/3", "folders/retail"),)))

    assert empty is not None
    assert empty.folders == ()
    assert unknown is not None
    assert unknown.folders is None
