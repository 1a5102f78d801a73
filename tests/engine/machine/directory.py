"""What admins of the tenant do: to users, groups and organisation contacts."""

from __future__ import annotations

from uuid import NAMESPACE_OID, uuid5

from hypothesis import strategies as st

from tests.engine.machine.events import FIRED, chance, event, some
from tests.engine.machine.history import INNER, MOST_PEOPLE, OUTER, History


class DirectoryActs(History):
    """The directory."""

    @event(number=some, mailbox=chance)
    def hire(self, number: int, mailbox: bool) -> None:
        """A new colleague; some share a name or an e-mail address."""
        users = list(self.tenant.directory.users.objects.values())
        if len(users) >= MOST_PEOPLE:
            return
        self.hired += 1
        upn = f"person{self.hired}@example.com"
        namesake = users[number % len(users)] if users and number % 4 == 1 else None
        shared = users[number % len(users)]["mail"] if users and number % 4 == 2 else upn
        user = self.world.hire(
            namesake["displayName"] if namesake else f"Person Number{self.hired}",
            userPrincipalName=upn,
            mail=shared,
            proxyAddresses=[f"SMTP:{shared}"],
            mobilePhone=f"+4915123456{700 + self.hired}",
            businessPhones=["+49301234567"],
            mailbox="ok" if mailbox else "none",
        )
        if number % 4:
            self.tenant.directory.join(INNER if number % 2 else OUTER, [user])

    @event(
        2,
        who=some,
        act=st.sampled_from(
            ["department", "no mobile", "mobile", "no business", "rename", "disable", "enable", "remove", "erase", "restore"]
        ),
        number=some,
    )
    def directory(self, who: int, act: str, number: int) -> None:
        """An admin changes a user."""
        live, deleted = list(self.tenant.directory.users.objects), list(self.tenant.directory.users.deleted)
        if act == "restore":
            if deleted:
                self.tenant.restore_user(deleted[who % len(deleted)])
                self.blind = True  # a leaver's mailbox is looked at once a week
            return
        if not live:
            return
        user = live[who % len(live)]
        match act:
            case "department":
                self.tenant.change_user(user, {"department": f"Department {number}"})
            case "no mobile":
                self.tenant.change_user(user, {"mobilePhone": None})
            case "mobile":
                self.tenant.change_user(user, {"mobilePhone": f"+49151234567{number:02d}"})
            case "no business":
                self.tenant.change_user(user, {"businessPhones": []})
            case "rename":
                self.tenant.change_user(
                    user, {"displayName": f"New Name{number}", "givenName": "New", "surname": f"Name{number}"}
                )
            case "disable" | "enable":
                self.tenant.enable_user(user, enabled=act == "enable")
            case "remove":
                self.tenant.remove_user(user)
            case "erase":
                self.tenant.remove_user(user, permanently=True)
                self.phones.forget(user)

    @event(who=some, act=st.sampled_from(["join", "leave", "part", "nest"]), inner=chance)
    def group(self, who: int, act: str, inner: bool) -> None:
        """Somebody joins or leaves one of the two groups, or the inner group the outer one."""
        directory, users = self.tenant.directory, list(self.tenant.directory.users.objects)
        group = INNER if inner else OUTER
        FIRED[f"group: {act}"] += 1
        match act:
            case "join" if users:
                directory.join(group, [users[who % len(users)]])
            case "leave":
                members = [member for member in directory.members(group) if member != INNER]
                directory.leave(group, [members[who % len(members)]] if members else [])
            case "part":
                directory.leave(OUTER, [INNER])
            case "nest":
                directory.join(OUTER, [INNER])

    @event(who=some, act=st.sampled_from(["add", "add colleague", "number", "address", "remove"]), number=some)
    def partner(self, who: int, act: str, number: int) -> None:
        """An organisation contact comes, changes or goes; some have a colleague's address, and so are the same person."""
        partners = self.tenant.directory.org_contacts
        users = list(self.tenant.directory.users.objects.values())
        known = list(partners.objects)
        FIRED[f"partner: {act}"] += 1
        mail = users[who % len(users)]["mail"] if users and who % 2 else f"partner{number}@partner.example"
        match act:
            case "add" | "add colleague" if len(known) < MOST_PEOPLE:
                self.hired += 1
                if act == "add":
                    mail = f"partner{self.hired}@partner.example"
                partners.add(
                    {
                        "id": str(uuid5(NAMESPACE_OID, f"partner {self.hired}")),
                        "displayName": f"Partner Number{self.hired}",
                        "givenName": "Partner",
                        "surname": f"Number{self.hired}",
                        "mail": mail,
                        "companyName": "Partners",
                        "phones": [{"type": "mobile", "number": f"+4915123456{800 + self.hired}"}],
                    }
                )
            case "number" if known:
                phones = [{"type": "mobile", "number": f"+4915123456{850 + number}"}] if number % 3 else []
                partners.change(known[who % len(known)], {"phones": phones})
            case "address" if known:
                partners.change(known[who % len(known)], {"mail": mail})
            case "remove" if known:
                partners.remove(known[who % len(known)])

    @event(who=some, state=st.sampled_from(["ok", "none", "onPremises", "full", "outOfScope", "moving"]))
    def mailbox_state(self, who: int, state: str) -> None:
        users = list(self.tenant.mailboxes)
        if users:
            self.tenant.set_mailbox_state(users[who % len(users)], state)

    def stir(self, number: int) -> None:
        """Somebody comes; when there are many, somebody goes who has no mailbox."""
        users = self.tenant.directory.users.objects
        if len(users) >= MOST_PEOPLE:
            without = [user for user, values in users.items() if not values["assignedPlans"]]
            if without:
                self.tenant.remove_user(without[0], permanently=True)
                self.phones.forget(without[0])
        self.hire(number, mailbox=False)
