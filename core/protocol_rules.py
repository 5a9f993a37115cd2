"""What each protocol asks of an endpoint's connection and of its data points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from core.value_rules import (
    Member,
    Problem,
    any_text,
    flag,
    like,
    needed,
    number,
    one_of,
    optional,
    text,
    whole,
)

PROTOCOLS: Final = ("modbus", "opcua", "mqtt", "snmp", "bacnet", "can")
TIMEOUT_MS_MAX: Final = 300_000

_HOST: Final = like(r"\[?[a-z0-9_.:%-]{1,255}\]?", "a host name or address")
_PORT: Final = whole(1, 65_535)
_TIMEOUT: Final = optional(whole(1, TIMEOUT_MS_MAX), "timeout", "timeoutMs")
_UNIT_ID: Final = optional(whole(1, 247), "slaveId", "unitId")
_LOGIN: Final = (optional(any_text, "username"), optional(any_text, "password"))

_MODBUS_TYPE: Final = optional(one_of("tcp", "rtu"), "type")
_MODBUS_TCP: Final = (needed(_HOST, "host"), optional(_PORT, "port"), _UNIT_ID, _TIMEOUT)
_MODBUS_RTU: Final = (
    needed(text(255), "serialPort", "path", "device"),
    optional(whole(110, 4_000_000), "baudRate"),
    optional(one_of("none", "even", "odd", "mark", "space"), "parity"),
    optional(one_of(5, 6, 7, 8), "dataBits"),
    optional(one_of(1, 2), "stopBits"),
    _UNIT_ID,
    _TIMEOUT,
)
_SNMP_VERSION: Final = optional(one_of("1", "2c", "3", "v1", "v2c", "v3"), "version")
_SNMP: Final = (needed(_HOST, "host"), optional(_PORT, "port"), _TIMEOUT)
_SNMP_V2: Final = (optional(text(255), "community"),)
_SNMP_V3: Final = (
    needed(text(255), "username", "user"),
    optional(one_of("noAuthNoPriv", "authNoPriv", "authPriv"), "securityLevel", "level"),
    optional(one_of("md5", "sha", "sha224", "sha256", "sha384", "sha512"), "authProtocol"),
    optional(one_of("des", "aes", "aes128", "aes192", "aes256"), "privProtocol"),
    optional(any_text, "authKey", "authPassword"),
    optional(any_text, "privKey", "privPassword"),
)
_BACNET_INSTANCE: Final = whole(0, 4_194_302)
_CONNECTIONS: Final[dict[str, tuple[Member, ...]]] = {
    "opcua": (
        needed(
            like(r"opc\.tcp://[^\s/]+(/\S*)?", "a URL that begins with opc.tcp://"), "endpointUrl"
        ),
        optional(one_of("None", "Sign", "SignAndEncrypt"), "securityMode"),
        optional(
            one_of(
                *("None", "Basic128Rsa15", "Basic256", "Basic256Sha256"),
                *("Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"),
            ),
            "securityPolicy",
        ),
        *_LOGIN,
        _TIMEOUT,
    ),
    "mqtt": (optional(text(1_000), "topic"), optional(one_of(0, 1, 2), "qos"), *_LOGIN),
    "bacnet": (
        optional(_BACNET_INSTANCE, "deviceInstance", "deviceId"),
        optional(_HOST, "host", "ipAddress"),
        optional(_PORT, "port"),
        _TIMEOUT,
    ),
    "can": (
        needed(
            like(r"[a-z0-9_.-]{1,15}", "the name of a network interface"), "interface", "channel"
        ),
        optional(whole(1_000, 8_000_000), "bitrate"),
    ),
}

_NAMED: Final = needed(text(255), "name")
_SCALED: Final = (
    optional(number, "scale"),
    optional(number, "offset"),
    optional(any_text, "unit"),
    optional(flag, "writable"),
)
_POINTS: Final[dict[str, tuple[Member, ...]]] = {
    "modbus": (
        _NAMED,
        needed(whole(0, 65_535), "address"),
        optional(whole(1, 4), "functionCode", "function_code"),
        optional(one_of("coil", "discrete", "holding", "input"), "type"),
        optional(
            one_of("int16", "uint16", "int32", "uint32", "float32", "boolean", "string"),
            *("dataType", "data_type"),
        ),
        optional(whole(1, 2_000), "count"),
        optional(text(32), "byteOrder", "byte_order"),
        *_SCALED,
    ),
    "opcua": (
        _NAMED,
        needed(
            like(r"(ns=\d+;|nsu=[^;]+;)?[isgb]=.+", "a node id such as ns=2;s=Speed"),
            *("nodeId", "node_id"),
        ),
        *_SCALED,
    ),
    "mqtt": (_NAMED, *_SCALED),
    "snmp": (
        _NAMED,
        needed(like(r"\.?\d+(\.\d+)+", "a dotted object identifier"), "oid"),
        *_SCALED,
    ),
    "bacnet": (
        _NAMED,
        optional(_BACNET_INSTANCE, "objectInstance", "instance"),
        *_SCALED,
    ),
    "can": (
        _NAMED,
        optional(like(r"(0x)?[0-9a-f]{1,8}", "a frame id in hexadecimal digits"), "frameId"),
        optional(whole(0, 0x1FFFFFFF), "canId", "id"),
        *_SCALED,
    ),
}
_TABLE_OF_FUNCTION: Final = {1: "coil", 2: "discrete", 3: "holding", 4: "input"}
_WRITABLE: Final = ("coil", "holding")


def is_scan_target(endpoint: Mapping[str, object]) -> bool:
    """Whether an endpoint only tells an agent where to look for Modbus devices."""
    connection = endpoint.get("connection")
    return (
        endpoint.get("protocol") == "modbus"
        and isinstance(connection, Mapping)
        and connection.get("slaveRange") is not None
    )


def connection_problems(protocol: str, connection: Mapping[str, object]) -> Iterator[Problem]:
    """Yield what is wrong with a connection; paths begin with `connection.`."""
    for member in _members_of(protocol, connection):
        yield from member.problems(connection, "connection.")
    if protocol == "modbus":
        yield from _MODBUS_TYPE.problems(connection, "connection.")
    if protocol == "snmp":
        yield from _SNMP_VERSION.problems(connection, "connection.")
    if protocol == "bacnet" and not any(
        connection.get(name) is not None
        for name in ("deviceInstance", "deviceId", "host", "ipAddress")
    ):
        yield "connection.deviceInstance", "is required, unless there is a host"


def point_problems(protocol: str, point: Mapping[str, object], path: str) -> Iterator[Problem]:
    """Yield what is wrong with a data point; paths begin with `path`, which ends in a dot."""
    for member in _POINTS[protocol]:
        yield from member.problems(point, path)
    if protocol == "modbus":
        yield from _modbus_point_problems(point, path)


def _members_of(protocol: str, connection: Mapping[str, object]) -> tuple[Member, ...]:
    if protocol == "modbus":
        is_serial = str(connection.get("type")).lower() == "rtu" or (
            connection.get("type") is None and connection.get("serialPort") is not None
        )
        return _MODBUS_RTU if is_serial else _MODBUS_TCP
    if protocol == "snmp":
        is_third = str(connection.get("version")).lower() in {"3", "v3"}
        return _SNMP + (_SNMP_V3 if is_third else _SNMP_V2)
    return _CONNECTIONS[protocol]


def _modbus_point_problems(point: Mapping[str, object], path: str) -> Iterator[Problem]:
    function = point.get("functionCode", point.get("function_code"))
    table = point.get("type")
    told = _TABLE_OF_FUNCTION.get(function) if isinstance(function, int) else None
    if told and isinstance(table, str) and table.lower() != told:
        yield f"{path}type", f"contradicts the function code, which reads {told}"
    kind = told or (table.lower() if isinstance(table, str) else "holding")
    if point.get("writable") is True and kind not in _WRITABLE:
        yield f"{path}writable", f"must be false: nothing can be written to {kind}"
    address, count = point.get("address"), point.get("count")
    if isinstance(address, int) and isinstance(count, int) and address + count > 65_536:
        yield f"{path}count", "goes beyond address 65535"
