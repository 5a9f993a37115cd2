from __future__ import annotations

from pathlib import Path

import pytest

from rest_compat.catalog import Catalog, CatalogError, load_catalog
from rest_compat.comments import summary_and_description
from rest_compat.endpoints import Auth, Limit, Place
from tests.rest_compat.harness import served


def loaded(tmp_path: Path, text: str, **more: str) -> Catalog:
    (tmp_path / "toy.graphql").write_text(text, encoding="utf-8")
    for name, other in more.items():
        (tmp_path / f"{name}.graphql").write_text(other, encoding="utf-8")
    return load_catalog(served()[0], tmp_path)


def mistakes(tmp_path: Path, text: str, **more: str) -> list[str]:
    with pytest.raises(CatalogError) as caught:
        loaded(tmp_path, text, **more)
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_an_endpoint_says_all_about_itself() -> None:
    endpoints = {endpoint.name: endpoint for endpoint in served()[1].endpoints}
    listed = endpoints["ListAgents"]
    assert (listed.method, listed.path, listed.noun) == ("GET", "/api/v1/agents", "agents")
    assert (listed.summary, listed.description) == ("The agents of the tenant.", "Newest first.")
    assert listed.place == "agents.graphql:11:3"
    assert listed.inputs[0].description == "Only these states."
    assert listed.inputs[1].description == ""
    assert [item.default for item in listed.inputs][:3] == [None, None, 10]
    assert (listed.auth, listed.limit) == (Auth.USER, Limit.GLOBAL)
    assert endpoints["AgentNames"].summary == ""
    logs = {item.name: item.place for item in endpoints["UploadLogs"].inputs}
    assert logs == {
        "uuid": Place.PATH,
        "lines": Place.RAW,
        "batchId": Place.HEADER,
        "attempt": Place.HEADER,
    }
    assert not listed.operation.directives
    assert list(listed.fragments) == ["AgentRow"]


def test_a_repeated_directive_makes_two_endpoints_with_own_options() -> None:
    made = [each for each in served()[1].endpoints if each.name.startswith("CreateAgent")]
    assert [each.name for each in made] == ["CreateAgent", "CreateAgent2"]
    assert [each.answering.status for each in made] == [201, 200]


def test_a_misspelt_field_names_place_and_neighbour(tmp_path: Path) -> None:
    text = '# x\nquery A @rest(get: "/a") {\n  agents { totl }\n}'
    (problem,) = mistakes(tmp_path, text)
    assert problem.startswith("toy.graphql:3:12: Cannot query field 'totl'")
    assert "Did you mean 'total'?" in problem


def test_a_misspelt_option_names_place_and_neighbour(tmp_path: Path) -> None:
    (problem,) = mistakes(tmp_path, 'query A @rest(gte: "/a") { whoami }')
    assert problem.startswith("toy.graphql:1:15: Unknown argument 'gte'")
    assert "Did you mean 'get'" in problem


def test_every_mistake_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path,
        'query A @rest(get: "/a") { whoam }\nquery B @rest(get: "/b") { x: nope }',
        syntax="query {",
        zoo='query C @rest(get: "c") { whoami }',
    )
    assert [problem.split(":")[0] for problem in found] == [
        "syntax.graphql",
        "toy.graphql",
        "toy.graphql",
        "zoo.graphql",
    ]


WHOAMI = "{ whoami }"
DELETE = "{ deleteAgent(uuid: $uuid, reason: $reason) }"
WRONG = [
    (f"query A {WHOAMI}", "has no @rest"),
    (f'query @rest(get: "/a") {WHOAMI}', "needs a name"),
    (f"query A @rest(status: 200) {WHOAMI}", "exactly one of get"),
    (f'query A @rest(get: "/a", put: "/a") {WHOAMI}', "exactly one of get"),
    (f'query A @rest(get: "/a?b") {WHOAMI}', "not a path"),
    (f'query A @rest(get: "/a/{{b}}c") {WHOAMI}', "not a path"),
    (f'query A @rest(get: "/a/{{b}}") {WHOAMI}', "no variable $b"),
    (
        'query A($name: String!) @rest(get: "/{nam}") { thing(name: $name) { __typename } }',
        "'name'",
    ),
    (f'query A @rest(get: "/a") @rest(get: "/a") {WHOAMI}', "answered by A"),
    (f'query A @rest(get: "/a") {WHOAMI} query A @rest(get: "/b") {WHOAMI}', "one operation named"),
    (f'mutation A($uuid: UUID!, $reason: String) @rest(get: "/a") {DELETE}', "mutation cannot"),
    (f'query A @rest(get: "/a", envelope: STATU) {WHOAMI}', "Did you mean the enum value 'STATUS'"),
    (f'query A @rest(get: "/a", status: 404) {WHOAMI}', "not the status of a success"),
    (f'query A @rest(get: "/a", status: 204) {WHOAMI}', "use envelope NONE"),
    (f'query A @rest(get: "/a", message: "m") {WHOAMI}', "has no message"),
    (f'query A @rest(get: "/a", outcome: "_x") {WHOAMI}', "no control member _x"),
    (
        f'query A @rest(get: "/a", outcomes: [{{ is: "a", status: 201 }}]) {WHOAMI}',
        "need an outcome",
    ),
    (f'query A @rest(get: "/a", count: "a") {WHOAMI}', "a is not selected"),
    ('query A @rest(get: "/a", count: "total") { agents { total } }', "not a list"),
    (
        (
            'query A @rest(get: "/a", rows: { member: "nodes", newestBy: "tim" }) '
            "{ agents { nodes { tags } } }"
        ),
        "nodes.tim is not selected",
    ),
    ('query A @rest(get: "/a", omitNull: ["nodes.tag"]) { agents { nodes { tags } } }', "'tags'"),
    ('query A @rest(get: "/a") { a: whoami b: whoami }', "several root fields reach the body"),
    ('query A @rest(get: "/a") { _a: whoami }', "no root field reaches"),
    (
        'query A @rest(get: "/a", envelope: LIST) { agents { total nodes { name } } }',
        "needs a list",
    ),
    (f'query A @rest(get: "/a", codec: ETAG) {WHOAMI}', "needs `_etag` and `document`"),
    ('query A @rest(get: "/a", codec: TEXT) { agents { total } }', "that is a text"),
    (f'query A @rest(get: "/a", whenUnavailable: ACCEPT) {WHOAMI}', "not for GET"),
    (f'query A @rest(post: "/a", whenUnavailable: NOT_MODIFIED) {WHOAMI}', "is for GET"),
    (
        f'query A @rest(get: "/a", errors: [{{ code: NOT_FOUND, title: "x", status: 200 }}]) {WHOAMI}',
        "not the status of an error",
    ),
    (
        f'mutation A($uuid: UUID!, $reason: String) @rest(post: "/a", body: "x") {DELETE}',
        "no variable $x",
    ),
    (
        f'mutation A($uuid: UUID!, $reason: String) @rest(post: "/a", raw: "reason") {DELETE}',
        "scalar Bytes",
    ),
    (
        f'mutation A($uuid: UUID!, $reason: String) @rest(post: "/a/{{uuid}}", body: "uuid") {DELETE}',
        "cannot come from path and from body",
    ),
    (
        f'mutation A($uuid: UUID!, $reason: String) @rest(post: "/a", optionalBearer: "uuid") {DELETE}',
        "nullable String",
    ),
    (
        (
            f"mutation A($uuid: UUID!, $reason: String) "
            f'@rest(post: "/a", headers: [{{ name: "a b", variable: "reason" }}]) {DELETE}'
        ),
        "not the name of a header",
    ),
    (
        (
            'mutation A($p: PlaceInput!) @rest(post: "/a", query: ["p"]) '
            '{ createAgent(name: "x", place: $p) { isNew } }'
        ),
        "cannot come from the query",
    ),
    (
        'query A($name: String!) @rest(get: "/a", query: []) { thing(name: $name) { __typename } }',
        "GET has none",
    ),
    (
        (
            'query A($a: String!) @rest(get: "/t/{a}") { thing(name: $a) { __typename } } '
            'query B($b: String!) @rest(post: "/t/{b}") { thing(name: $b) { __typename } }'
        ),
        "name the variables of /t/{b} as in /t/{a}",
    ),
]


@pytest.mark.parametrize(("text", "words"), WRONG, ids=[words for _, words in WRONG])
def test_refuses(tmp_path: Path, text: str, words: str) -> None:
    problems = mistakes(tmp_path, text)
    assert any(words in problem for problem in problems), problems
    assert all(problem.startswith("toy.graphql:1:") for problem in problems)


def test_refuses_a_name_and_a_route_that_another_file_has(tmp_path: Path) -> None:
    text = f'query A @rest(get: "/a") {WHOAMI}'
    (named,) = mistakes(tmp_path, text, first=text)
    assert named == "toy.graphql:1:1: A is defined at first.graphql:1:1 already"
    other = f'query B @rest(get: "/a") {WHOAMI}'
    (routed,) = mistakes(tmp_path, text, first=other)
    assert "toy.graphql:1:9: GET /a is answered by B (first.graphql:1:9) already" in routed


def test_refuses_an_alias_whose_name_is_taken(tmp_path: Path) -> None:
    text = f'query A @rest(get: "/a") @rest(get: "/b") {WHOAMI} query A2 @rest(get: "/c") {WHOAMI}'
    (problem,) = mistakes(tmp_path, text)
    assert "A2 is the name of the alias" in problem


def test_a_comment_behind_code_or_apart_documents_nothing(tmp_path: Path) -> None:
    text = (
        "# apart\n\n"
        f'query A @rest(get: "/a") {WHOAMI} # behind\n'
        f'query B @rest(get: "/b") {WHOAMI}\n'
        f'# its own\nquery C @rest(get: "/c") {WHOAMI}'
    )
    assert [each.summary for each in loaded(tmp_path, text).endpoints] == ["", "", "its own"]


@pytest.mark.parametrize(
    ("comment", "summary", "description"),
    [
        ("Make a key, which\nis shown once.", "Make a key, which is shown once.", ""),
        (
            "One sentence, on\ntwo lines. Another\none.\n\nMore of\nit.",
            "One sentence, on two lines.",
            "Another one.\n\nMore of\nit.",
        ),
        ("It ends. `limit` rows follow.", "It ends.", "`limit` rows follow."),
        ("Texts, e.g. `a`, of v1.2 or so.", "Texts, e.g. `a`, of v1.2 or so.", ""),
        ("No end\n\nRest.", "No end", "Rest."),
        ("", "", ""),
    ],
)
def test_the_first_sentence_is_the_summary(comment: str, summary: str, description: str) -> None:
    assert summary_and_description(comment) == (summary, description)
