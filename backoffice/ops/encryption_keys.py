"""Sealing everything anew, so that a key of CONFIG_ENCRYPTION_KEYS can be taken away."""

from dataclasses import asdict, dataclass

from config.gateways.reseal import gateway_secrets_reseal
from config.gateways.versions import AUDIT_OBJECT
from tcmpay.accounts.services.second_factor import totp_keys_reseal
from tcmpay.audit.macs import chain_keys_keep
from tcmpay.audit.services import audit_record
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.sealing import ConfigSecretUnreadable
from webhooks.services.endpoints import endpoint_secrets_reseal


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many rows, versions, drafts, staff authenticators, endpoints' secrets were sealed anew,
    and how many rows for the first time."""

    rows: int
    versions: int
    drafts: int
    newly_sealed: int
    authenticators: int
    endpoints: int


@money_unit
def encryption_keys_rotate(*, actor: Actor) -> Rotation:
    """Seal everything with the first key, so that the others can be taken away; or nothing.

    Raises ConfigSecretUnreadable naming everything that no configured key opens.
    """
    configuration = gateway_secrets_reseal()
    authenticators, lost = totp_keys_reseal()
    endpoints, lost_endpoints = endpoint_secrets_reseal()
    if unreadable := [*configuration.unreadable, *lost, *lost_endpoints]:
        raise ConfigSecretUnreadable(*unreadable)
    chain_keys_keep()
    result = Rotation(
        rows=configuration.rows,
        versions=configuration.versions,
        drafts=configuration.drafts,
        newly_sealed=configuration.newly_sealed,
        authenticators=authenticators,
        endpoints=endpoints,
    )
    audit_record(
        object_type=AUDIT_OBJECT,
        object_id="encryption_keys",
        action="config_keys_rotated",
        actor=actor,
        details=asdict(result),
    )
    return result
