"""From the headers of a request to the Principal it acts as."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import cache, partial

from api.principal import Principal, Role
from api.signin import claims, errors
from api.signin.claims import Claims, is_guid
from api.signin.errors import ForbiddenError
from api.signin.keys import SigningKeys
from sync_core.errors import NotFoundError
from sync_core.ports import Clock, Tables
from sync_core.state.tenants import load_tenant
from tenancy.partners import granted_roles

PARTNER_HEADER = "Rollcall-Tenant"
"""Names the customer's tenant that people of a partner act on."""

Granted = Callable[[str, str], Awaitable[frozenset[str]]]
"""The roles with which `customer` lets people of the tenant `partner` in: of those that they have at home they keep these."""


class SignIn:
    """Lets callers in."""

    def __init__(self, tables: Tables, keys: SigningKeys, clock: Clock, *, client_id: str, granted: Granted) -> None:
        self._tables = tables
        self._keys = keys
        self._clock = clock
        self._client_id = client_id
        self._granted = granted

    async def authenticate(self, authorization: str, *, customer: str = "", connected: bool = True) -> Principal:
        """Who asks with this Authorization header, acting on their own tenant or (`customer`: PARTNER_HEADER) on another.

        With `connected=False`, for the start of a connection, a person of a tenant that is not connected is let in too.
        Raises AuthenticationError (401), ForbiddenError (403), or TransientError (503) when Entra's keys cannot be read.
        """
        caller = await self._verified(claims.bearer(authorization))
        tenant = customer.strip().lower() or caller.tenant
        roles = caller.roles
        if tenant != caller.tenant:
            roles = await self._granted_roles(tenant, caller)
        elif connected or caller.is_app:
            await self._check_connected(tenant)
        return Principal(tenant, caller.tenant, caller.object_id, roles, caller.is_app)

    async def _verified(self, token: str) -> Claims:
        key = await self._keys.get(claims.key_id(token))
        if key is None:
            raise errors.invalid_token()
        caller = claims.verify(token, key, client_id=self._client_id, now=self._clock.now())
        if caller.is_app and not caller.roles:
            raise ForbiddenError(errors.MISSING_ROLE, "Assign one of Rollcall's app roles to the service principal")
        if caller.is_guest and not caller.roles:
            raise ForbiddenError(errors.GUEST_ACCOUNT, "Guests need an app role of Rollcall: only employees have a mailbox here")
        return caller

    async def _check_connected(self, tenant: str) -> None:
        try:
            await load_tenant(self._tables, tenant)
        except NotFoundError:
            raise ForbiddenError(
                errors.TENANT_NOT_CONNECTED, "An administrator of your organisation must connect it to Rollcall first"
            ) from None

    async def _granted_roles(self, customer: str, caller: Claims) -> frozenset[Role]:
        """One answer for tenants that did not grant and for those we do not serve: partners must not learn who is one."""
        if is_guid(customer) and caller.roles and not caller.is_guest:
            granted = await self._granted(customer, caller.tenant)
            roles = frozenset(role for role in caller.roles if role in granted)
            with suppress(ForbiddenError):
                if roles:
                    await self._check_connected(customer)
                    return roles
        raise ForbiddenError(errors.TENANT_NOT_GRANTED, f"The organisation in the header {PARTNER_HEADER} has not let yours in")


def require(principal: Principal, *roles: Role) -> None:
    """Check that the caller has one of the roles. Raises ForbiddenError."""
    if principal.roles.isdisjoint(roles):
        raise ForbiddenError(errors.MISSING_ROLE, f"This needs the app role {' or '.join(sorted(roles))}")


def require_person(principal: Principal) -> None:
    """Check that a person asks about their own mailbox, in their own tenant. Raises ForbiddenError."""
    if principal.is_app or principal.home != principal.tenant:
        raise ForbiddenError(
            errors.PERSON_REQUIRED, "Sign in as an employee, for your own organisation: nobody else has a mailbox here"
        )


@cache
def sign_in() -> SignIn:
    """The sign-in of this process, built on first use. Raises InputError that names a wrong or missing setting."""
    from composition import context, identity

    ours = identity()
    keys = SigningKeys(ours.fetch, context().clock, authority=ours.authority)
    tables = context().tables
    return SignIn(tables, keys, context().clock, client_id=ours.client_id, granted=partial(granted_roles, tables))
