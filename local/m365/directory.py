"""A tenant's directory: users, groups and organisation contacts, and what changed in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from local.m365.changes import ChangeLog
from local.m365.wire import GraphError

TYPES = {"user": "#microsoft.graph.user", "group": "#microsoft.graph.group", "orgContact": "#microsoft.graph.orgContact"}


class Collection:
    """The objects of one kind. Removed objects rest in `deleted` until they are restored or removed for good."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.objects: dict[str, dict[str, Any]] = {}
        self.deleted: dict[str, dict[str, Any]] = {}
        self.log: ChangeLog[str] = ChangeLog()
        self.misses: Callable[[str], bool] = lambda _kind: False

    def add(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add an object; it must have an id."""
        key = values["id"]
        if key in self.objects or key in self.deleted:
            raise ValueError(f"{self.kind} {key} exists already")
        self.objects[key] = values
        self.log.note(key, missed=self.misses(self.kind))
        return values

    def change(self, key: str, values: dict[str, Any]) -> None:
        """Set properties of an object."""
        item = self.objects[key]
        names = frozenset(name for name, value in values.items() if item.get(name) != value)
        item.update(values)
        if names:
            self.log.note(key, names, missed=self.misses(self.kind))

    def remove(self, key: str, *, permanently: bool = False) -> None:
        """Delete an object: softly (it can be restored) or for good (graph/api/user-delete)."""
        item = self.objects.pop(key, None) or self.deleted.pop(key)
        if not permanently:
            self.deleted[key] = item
        self.log.note(key, missed=self.misses(self.kind))

    def restore(self, key: str) -> None:
        """Bring a softly deleted object back (graph/api/directory-deleteditems-restore)."""
        self.objects[key] = self.deleted.pop(key)
        self.log.note(key, missed=self.misses(self.kind))

    def get(self, key: str) -> dict[str, Any]:
        """A live object. Raises GraphError `Request_ResourceNotFound`."""
        item = self.objects.get(key) or self.objects.get(key.lower())
        if item is None:
            raise resource_not_found(key)
        return item


class Directory:
    """Users, groups with their members, and organisation contacts."""

    def __init__(self) -> None:
        self.users = Collection("user")
        self.groups = Collection("group")
        self.org_contacts = Collection("orgContact")
        self._members: dict[str, dict[str, str]] = {}  # group -> member -> kind
        self._turns: dict[str, list[tuple[int, str, str, bool]]] = {}  # group -> (sequence, member, kind, joined)
        self._names: dict[str, str] = {}  # user principal name -> id, grown on demand

    def user(self, key: str) -> dict[str, Any] | None:
        """A live user by id or user principal name."""
        item = self.users.objects.get(key) or self.users.objects.get(key.lower())
        if item is not None or "@" not in key:
            return item
        wanted = key.lower()
        item = self.users.objects.get(self._names.get(wanted, ""))
        if item is None or str(item.get("userPrincipalName", "")).lower() != wanted:
            self._names = {str(user.get("userPrincipalName", "")).lower(): name for name, user in self.users.objects.items()}
            item = self.users.objects.get(self._names.get(wanted, ""))
        return item

    def kind_of(self, key: str) -> str:
        """Which kind of object has this id. Raises KeyError."""
        for collection in (self.users, self.groups, self.org_contacts):
            if key in collection.objects or key in collection.deleted:
                return collection.kind
        raise KeyError(key)

    def members(self, group: str) -> dict[str, str]:
        """The direct members that are live: id -> kind."""
        return {key: kind for key, kind in self._members.get(group, {}).items() if key in self._of(kind).objects}

    def transitive_members(self, group: str) -> dict[str, str]:
        """Members of the group and of the groups in it (graph/api/group-list-transitivemembers)."""
        found: dict[str, str] = {}
        waiting = [group]
        while waiting:
            for key, kind in self.members(waiting.pop()).items():
                if key not in found and key != group:
                    found[key] = kind
                    if kind == "group":
                        waiting.append(key)
        return found

    def join(self, group: str, members: Iterable[str]) -> None:
        """Make objects direct members of a group."""
        self._turn(group, members, joined=True)

    def leave(self, group: str, members: Iterable[str]) -> None:
        """End memberships."""
        self._turn(group, members, joined=False)

    def _turn(self, group: str, members: Iterable[str], *, joined: bool) -> None:
        self.groups.get(group)
        held = self._members.setdefault(group, {})
        turned = [(key, self.kind_of(key)) for key in members if (key in held) is not joined]
        if not turned:
            return
        self.groups.log.note(group, frozenset({"members"}), missed=self.groups.misses("group"))
        for key, kind in turned:
            self._turns.setdefault(group, []).append((self.groups.log.sequence, key, kind, joined))
            if joined:
                held[key] = kind
            else:
                del held[key]

    def member_changes(self, group: str, base: int, *, full: bool) -> list[dict[str, Any]]:
        """The entries of `members@delta` (graph/delta-query-groups).

        A member who was deleted softly is no news to the group: nothing is said of the membership.
        """
        if full:
            return [{"@odata.type": TYPES[kind], "id": key} for key, kind in self._members.get(group, {}).items()]
        last = {key: (kind, joined) for at, key, kind, joined in self._turns.get(group, []) if at > base}
        return [
            {"@odata.type": TYPES[kind], "id": key, **({} if joined else {"@removed": {"reason": "deleted"}})}
            for key, (kind, joined) in last.items()
        ]

    def _of(self, kind: str) -> Collection:
        return {"user": self.users, "group": self.groups, "orgContact": self.org_contacts}[kind]


def resource_not_found(key: str) -> GraphError:
    """What Graph says of a directory object that is not there (graph/errors)."""
    message = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
    return GraphError(404, "Request_ResourceNotFound", message)
