"""What employees see and decide of their own mailbox. Whose it is comes from the token, never from the request."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from api.endpoint import EVERYONE, Audit, Call, Endpoints, Listed, Strict, SyncId
from api.principal import Role
from sync_core.choices import Choice
from sync_core.engine import employees
from sync_core.engine.employees import MyFields, MyList
from sync_core.hiding import CardField

endpoints = Endpoints("Me")


class Me(BaseModel):
    """Who is signed in."""

    tenant: str
    person: str = Field(description="The object id, which is the mailbox's too")
    roles: list[Role]


class MyListShown(BaseModel):
    """A list that reaches the mailbox, or may."""

    sync: str
    name: str
    folder: str | None = Field(description="The contact folder; null for the default one")
    choice: Choice
    choices: list[Choice] = Field(description="What may be chosen; with one entry there is no choice")
    state: str | None = Field(description="Where the mailbox stands; null until a run has heeded the choice")
    reason: str | None
    off_keeps: bool = Field(description="Whether its contacts stay, as the user's own, when the list is turned off")


class ChoiceMade(Strict):
    """What the list is to do in the own mailbox."""

    choice: Choice


class ListPath(Strict):
    """Names a list by its sync."""

    sync: SyncId


class CardShown(BaseModel):
    """How one list shows the person to others."""

    sync: str
    name: str
    contact: dict[str, Any] = Field(description="A contact's properties, as Microsoft Graph names them")


class MyFieldsShown(BaseModel):
    """What may be hidden of the own card in all lists, and what is."""

    hideable: list[CardField] = Field(description="What the administrator lets employees hide")
    hidden: list[CardField]


class FieldsHidden(Strict):
    """What is to be hidden: these fields and no other."""

    hidden: list[CardField] = Field(max_length=len(CardField))


@endpoints.get("me", roles=EVERYONE)
async def get_me(call: Call) -> Me:
    """Who is signed in."""
    caller = call.principal
    return Me(tenant=caller.tenant, person=caller.object_id, roles=sorted(caller.roles))


@endpoints.get("me/lists", roles=EVERYONE)
async def my_lists(call: Call) -> Listed[MyListShown]:
    """The lists that reach my mailbox, and those that I may turn on."""
    found = employees.my_lists(call.context, call.tenant, call.principal.object_id)
    return Listed(items=[_shown(one) async for one in found])


@endpoints.put("me/lists/{sync}", roles=EVERYONE, audits="choice.made")
async def choose_list(call: Call, path: ListPath, body: ChoiceMade, audit: Audit) -> MyListShown:
    """Turn a list on or off in my mailbox, or pause it. The next run heeds it."""
    person = call.principal.object_id
    before = await employees.my_list(call.context, call.tenant, path.sync, person, wants=body.choice)
    await audit(before={"choice": before.choice}, after={"choice": body.choice})
    return _shown(await employees.choose(call.context, before, person, body.choice))


@endpoints.get("me/cards", roles=EVERYONE)
async def my_cards(call: Call) -> Listed[CardShown]:
    """How the lists show me to others."""
    cards = employees.my_cards(call.context, call.tenant, call.principal.object_id)
    return Listed(
        items=[CardShown(sync=card.sync.sync, name=card.sync.definition.name, contact=dict(card.contact)) async for card in cards]
    )


@endpoints.get("me/fields", roles=EVERYONE)
async def my_fields(call: Call) -> MyFieldsShown:
    """What I may hide of my card in everybody's lists, and what I do."""
    return _fields(await employees.my_fields(call.context, call.tenant, call.principal.object_id))


@endpoints.put("me/fields", roles=EVERYONE, audits="fields.hidden")
async def hide_fields(call: Call, body: FieldsHidden, audit: Audit) -> MyFieldsShown:
    """Hide fields of my card, or show them again. The next run of each list heeds it."""
    person = call.principal.object_id
    mine = await employees.my_fields(call.context, call.tenant, person)
    employees.check_hideable(mine, body.hidden)
    await audit(before={"hidden": sorted(mine.hidden)}, after={"hidden": sorted(set(body.hidden))})
    return _fields(await employees.hide(call.context, call.tenant, person, mine, body.hidden))


def _fields(mine: MyFields) -> MyFieldsShown:
    return MyFieldsShown(hideable=list(mine.hideable), hidden=sorted(mine.hidden))


def _shown(one: MyList) -> MyListShown:
    definition = one.sync.definition
    return MyListShown(
        sync=one.sync.sync,
        name=definition.name,
        folder=definition.folder,
        choice=one.choice,
        choices=list(one.choices),
        state=one.replica.state if one.replica is not None else None,
        reason=(one.replica.reason or None) if one.replica is not None else None,
        off_keeps=definition.targets.leavers == "keep",
    )
