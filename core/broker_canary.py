"""An account that tells by itself which accounts the running broker goes by."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.derived_secrets import DerivedSecrets

CANARY_USER: Final = "fleetgraph-canary"
_SALT_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Canary:
    """An account without any rights, whose password changes with the other accounts."""

    account: BrokerAccount
    password: str


def canary_of(accounts: Iterable[BrokerAccount], secrets: DerivedSecrets) -> Canary:
    """Return the canary among these accounts: the same for the same ones, in every program."""
    digest = hashlib.sha256()
    for account in accounts:
        digest.update(repr(account).encode())
    generation = digest.hexdigest()
    password = secrets.derive("broker-canary", generation)
    salt = secrets.derive("broker-canary-salt", generation).encode()[:_SALT_BYTES]
    return Canary(BrokerAccount(CANARY_USER, hash_broker_password(password, salt)), password)
