"""Each family of answers and requests of the API list, said in `@rest`: the table.

A row is the pattern for the operations of its section: contract section, document, request,
answer. Nothing here needs a route written by hand.
"""

from __future__ import annotations

from tests.rest_compat.families_of_errors import ERROR_ROWS
from tests.rest_compat.family_schema import Row

PAGE = """query Q($after: String, $limit: Int = 2) @rest(get: "/x", count: "items",
  next: { variable: "after", member: "_next", if: "_more" },
  responseHeaders: [{ name: "X-Total-Count", member: "_total" }]) {
  page(after: $after, limit: $limit) {
    items: nodes { id } total hasMore _next: next _more: hasMore _total: total } }"""
PUT = """mutation M($id: ID!, $name: String, $v: Int) @rest(put: "/x/{id}", ifMatch: "v") {
  put(id: $id, name: $name, version: $v) { name note _etag: version } }"""
MAKE = """mutation M($name: String!, $dry: Boolean) @rest(post: "/x", query: ["dry"], status: 201,
  outcome: "_valid", outcomes: [{ is: "true", status: 200, message: "Valid" }],
  envelope: STATUS, message: "Created", object: true) {
  device: make(name: $name, dry: $dry) { name _valid: valid } }"""
INSERT = """mutation M($points: [Point!]!)
  @rest(post: "/x", lines: "points", bodyLimit: 200, status: 201, envelope: SUCCESS, object: true) {
  inserted: insert(points: $points) }"""
TICKS = 'subscription S($upTo: Int!) @rest(get: "/x", codec: %s) { ticks(upTo: $upTo) }'
TWO = """mutation Check($body: JSON)
  @rest(post: "/x", auth: NONE, anonymous: true, body: "body", envelope: NONE, status: 200) {
  say(body: $body) }
mutation Make($name: String!) @rest(post: "/x", status: 201) { make(name: $name) { name } }"""
FIXED = """query Q($g: Granularity!)
  @rest(get: "/x/hourly", fixed: [{ variable: "g", value: "hourly" }])
  @rest(get: "/x/daily", fixed: [{ variable: "g", value: "DAILY" }]) { bucket(granularity: $g) }"""

ROWS = [
    Row(
        "1.2 {message, data}, a null member absent",
        """mutation M($name: String!) @rest(post: "/x", envelope: DATA, message: "Welcome",
          omitNull: ["note"]) { make(name: $name) { name note } }""",
        ("POST", "/x"),
        {"message": "Welcome", "data": {"name": "a"}},
        json={"name": "a"},
    ),
    Row(
        "1.2 {message} alone, 202",
        'mutation M @rest(post: "/x", envelope: DATA, message: "Sent", status: 202) { done }',
        ("POST", "/x"),
        {"message": "Sent"},
        202,
    ),
    Row(
        "1.3, 1.20 a bare array",
        'query Q @rest(get: "/x", envelope: LIST) { things { id email } }',
        ("GET", "/x"),
        [{"id": "7", "email": "p@example.com"}],
    ),
    Row(
        "1.3 204 without a body",
        'mutation M @rest(delete: "/x", envelope: NONE) { done }',
        ("DELETE", "/x"),
        None,
        204,
    ),
    Row(
        "1.3 which fields are missing, at the top of the error",
        """mutation M($name: String!, $email: String!) @rest(post: "/x", errors: [{
          code: INVALID_INPUT, fact: "missing", title: "Missing required fields",
          members: [{ name: "required", fact: "missing" }] }]) {
          make(name: $name, email: $email) { id } }""",
        ("POST", "/x"),
        {"error": "Missing required fields", "required": ["name", "email"]},
        400,
        json={},
    ),
    Row(
        "1.4, 1.16 {success, message, key: {…}}",
        """mutation M($name: String!) @rest(post: "/x", envelope: SUCCESS, object: true,
          message: "Made", status: 201) { key: make(name: $name) { name } }""",
        ("POST", "/x"),
        {"success": True, "message": "Made", "key": {"name": "a"}},
        201,
        json={"name": "a"},
    ),
    Row(
        "1.16, 1.21 {success, users: […], count}",
        """query Q @rest(get: "/x", envelope: SUCCESS, object: true, count: "users") {
          users: things { id } }""",
        ("GET", "/x"),
        {"success": True, "count": 1, "users": [{"id": "7"}]},
    ),
    Row(
        "1.6 tags as an object, by key",
        """query Q @rest(get: "/x", object: true,
          keyed: [{ at: "agents.tags", by: "key", value: "value" }]) {
          agents: things { name tags { key value } } }""",
        ("GET", "/x"),
        {"agents": [{"name": "press", "tags": {"line": "3", "site": "Riga"}}]},
    ),
    Row(
        "1.8, 9.5 the whole answer keyed by a member",
        'query Q @rest(get: "/x", keyed: [{ by: "id" }]) { thing { id name version } }',
        ("GET", "/x"),
        {"7": {"name": "press", "version": 3}},
    ),
    Row(
        "1.6, 1.21 count, total, next page",
        PAGE,
        ("GET", "/x?limit=2"),
        {"count": 1, "items": [{"id": "7"}], "total": 9, "hasMore": True},
        headers={"link": '</x?limit=2&after=c2>; rel="next"', "x-total-count": "9"},
    ),
    Row(
        "1.7, 14 If-Match: the current version",
        PUT,
        ("PUT", "/x/7"),
        {"name": "b", "note": None},
        json={"name": "b"},
        sent={"If-Match": '"3"'},
        headers={"etag": '"3"'},
    ),
    Row(
        "1.7, 14 If-Match: any version",
        PUT,
        ("PUT", "/x/7"),
        {"name": "b", "note": None},
        json={"name": "b"},
        sent={"If-Match": "*"},
    ),
    Row(
        "1.7, 14 If-Match: another version",
        PUT,
        ("PUT", "/x/7"),
        {"error": "Precondition failed"},
        412,
        json={"name": "b"},
        sent={"If-Match": '"2"'},
    ),
    Row(
        "1.7, 14 If-Match: no version",
        PUT,
        ("PUT", "/x/7"),
        {"error": "Precondition failed"},
        412,
        json={"name": "b"},
        sent={"If-Match": '"abc"'},
    ),
    Row(
        "1.7, 14 If-Match: the empty version",
        PUT,
        ("PUT", "/x/7"),
        {"error": "Precondition failed"},
        412,
        json={"name": "b"},
        sent={"If-Match": '""'},
    ),
    Row(
        "1.3, 1.14 absent is not null: absent",
        PUT,
        ("PUT", "/x/7"),
        {"name": "press", "note": "absent"},
        json={},
    ),
    Row(
        "1.3, 1.14 absent is not null: null",
        PUT,
        ("PUT", "/x/7"),
        {"name": "press", "note": "null"},
        json={"name": None},
    ),
    Row(
        "1.9 201, and 200 with other words when only checked",
        MAKE,
        ("POST", "/x?dry=true"),
        {"status": "ok", "message": "Valid", "device": {"name": "a"}},
        json={"name": "a"},
    ),
    Row(
        "1.9 201",
        MAKE,
        ("POST", "/x"),
        {"status": "ok", "message": "Created", "device": {"name": "a"}},
        201,
        json={"name": "a"},
    ),
    Row(
        "1.9 one list under two keys, numbers by protocol",
        """query Q @rest(get: "/x", count: "devices", object: true,
          keyed: [{ at: "summary.byProtocol", by: "name", value: "total" }]) {
          summary: thing { byProtocol { name total } } devices: things { id } agents: things { id } }""",
        ("GET", "/x"),
        {
            "count": 1,
            "summary": {"byProtocol": {"modbus": 2}},
            "devices": [{"id": "7"}],
            "agents": [{"id": "7"}],
        },
    ),
    Row(
        "1.10 columns as rows",
        """query Q @rest(get: "/x", rows: { member: "readings", newestBy: "time" }, count: "readings") {
          history { agent_uuid: agent readings: series { metric_name: name time: times value: values } } }""",
        ("GET", "/x"),
        {
            "count": 2,
            "agent_uuid": "a",
            "readings": [
                {"metric_name": "m", "time": 2, "value": None},
                {"metric_name": "m", "time": 1, "value": 0.5},
            ],
        },
    ),
    Row(
        "1.18 columns as a bare array of rows",
        """query Q @rest(get: "/x", rows: { member: "series" }, envelope: LIST) {
          history { series { time: times value: values } } }""",
        ("GET", "/x"),
        [{"time": 1, "value": 0.5}, {"time": 2, "value": None}],
    ),
    Row("1.10 an alias with a fixed value", FIXED, ("GET", "/x/hourly"), "HOURLY"),
    Row("1.10 and another", FIXED, ("GET", "/x/daily"), "DAILY"),
    Row(
        "1.10 points as an array",
        INSERT,
        ("POST", "/x"),
        {"success": True, "inserted": 1},
        201,
        json=[{"metric": "m", "value": 1}],
    ),
    Row(
        "10 points as JSON lines",
        INSERT,
        ("POST", "/x"),
        {"success": True, "inserted": 2},
        201,
        content=b'{"metric":"m","value":1}\n\n{"metric":"m","value":2}\n',
        sent={"Content-Type": "application/x-ndjson"},
    ),
    Row(
        "10 a line that is no JSON",
        INSERT,
        ("POST", "/x"),
        {"success": False, "facts": {"field": "line 3"}},
        400,
        content=b'{"metric":"m","value":1}\n\n{"metric":',
        sent={"Content-Type": "application/x-ndjson"},
    ),
    Row(
        "10 a line that is no point",
        INSERT,
        ("POST", "/x"),
        {"success": False, "facts": {"field": "line 3.value"}},
        400,
        content=b'{"metric":"m","value":1}\n\n{"metric":"m","value":"x"}',
        sent={"Content-Type": "application/x-ndjson"},
    ),
    Row(
        "10 more bytes than this endpoint takes",
        INSERT,
        ("POST", "/x"),
        {"success": False},
        413,
        content=b" " * 201,
    ),
    Row(
        "10, 0.2 an encoding we do not read",
        INSERT,
        ("POST", "/x"),
        {"success": False},
        415,
        content=b"x",
        sent={"Content-Encoding": "br"},
    ),
    Row(
        "0.2 a media type we do not read",
        INSERT,
        ("POST", "/x"),
        {"success": False},
        415,
        content=b"x",
        sent={"Content-Type": "application/xml"},
    ),
    *ERROR_ROWS,
    Row(
        "1.13 404 means none",
        'query Q($id: ID!) @rest(get: "/x/{id}", errors: [{ code: NOT_FOUND, title: "No job" }]) {'
        " missing(id: $id) { id } }",
        ("GET", "/x/1"),
        {"error": "No job"},
        404,
    ),
    Row(
        "1.16 a check by a plugin, without a credential",
        TWO,
        ("POST", "/x"),
        None,
        json={"username": "u"},
    ),
    Row(
        "1.16 the same path with a credential",
        TWO,
        ("POST", "/x"),
        {"name": "a"},
        201,
        json={"name": "a"},
        sent={"Authorization": "Bearer t"},
    ),
    Row(
        "1.17 {accepted, requestId}",
        """mutation M($body: JSON) @rest(post: "/x", body: "body", status: 202, object: true,
          requestId: true) { accepted: say(body: $body) }""",
        ("POST", "/x"),
        {"accepted": [1, 2], "requestId": "r1"},
        202,
        json=[1, 2],
    ),
    Row(
        "1.19 503 with the report in it",
        """query Q @rest(get: "/x", outcome: "_h", outcomes: [{ is: "unhealthy", status: 503 }]) {
          health { status: health _h: health } }""",
        ("GET", "/x"),
        {"status": "unhealthy"},
        503,
    ),
]
