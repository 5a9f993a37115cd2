"""The families of errors; see families.py."""

from __future__ import annotations

from tests.rest_compat.family_schema import Row

REFUSE = 'mutation M($how: String!) @rest(post: "/x/{how}", %s) { refuse(how: $how) }'

ERROR_ROWS = [
    Row(
        "1.12 details of a limit",
        REFUSE
        % """errors: [{ code: LIMIT_REACHED, title: "Agent limit exceeded", members: [
          { name: "details.currentDevices", fact: "used" }
          { name: "details.maxDevices", fact: "limit" } { name: "details.plan", fact: "plan" }] }]""",
        ("POST", "/x/limit"),
        {
            "error": "Agent limit exceeded",
            "details": {"currentDevices": 3, "maxDevices": 3, "plan": "trial"},
        },
        403,
    ),
    Row(
        "6.4 where the query is wrong, and requestId",
        REFUSE
        % """errors: [{ code: INVALID_INPUT, title: "Invalid request body", members: [
          { name: "details[].path", fact: "field" } { name: "details[].message", fact: "reason" }] }]""",
        ("POST", "/x/details"),
        {
            "error": "Invalid request body",
            "requestId": "r1",
            "details": [{"path": "queries.0.metric", "message": "is required"}],
        },
        400,
    ),
    Row(
        "1.7, 1.11 every wrong field",
        REFUSE
        % """errors: [{ code: INVALID_INPUT, field: "config",
          title: "Invalid target state config", members: [{ name: "errors", fact: "problems" }] }]""",
        ("POST", "/x/fields"),
        {"error": "Invalid target state config", "errors": [{"field": "a", "message": "b"}]},
        400,
    ),
    Row(
        "1.6 a conflict told as 400, with its version",
        REFUSE
        % """errors: [{ code: CONFLICT, title: "Nothing to deploy", status: 400,
          members: [{ name: "version", fact: "version" }] }]""",
        ("POST", "/x/conflict"),
        {"error": "Nothing to deploy", "message": "Nothing is pending", "version": 4},
        400,
    ),
    Row(
        "1.14 {error, id}",
        REFUSE
        % """errors: [{ code: NOT_FOUND, title: "Fleet not found",
          members: [{ name: "id", fact: "key" }] }]""",
        ("POST", "/x/gone"),
        {"error": "Fleet not found", "id": "f1"},
        404,
    ),
]
