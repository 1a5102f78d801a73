"""What users do to contacts and folders."""

from __future__ import annotations

from hypothesis import strategies as st

from local.m365.mailbox import Contact, Folder
from sync_core import marks
from tests.engine.machine.events import FIRED, event, some
from tests.engine.machine.history import FOLDER, History


class PhoneActs(History):
    """Phones."""

    @event(
        3,
        who=some,
        which=some,
        where=some,
        act=st.sampled_from(["edit", "delete", "erase", "move", "copy here", "copy", "undelete", "create", "bump", "ids"]),
    )
    def phone(self, who: int, which: int, where: int, act: str, *, busy: bool = False) -> None:
        """A user does something to a contact; when `busy`, while the mailbox is being served."""
        user = self.user(who)
        if user is None:
            return
        phones, box = self.phones, self.phones.box(user)
        folders = [box.contacts, *phones.live_folders(user)]
        folder = folders[where % len(folders)]
        colleague = list(self.tenant.directory.users.objects.values())[which % len(self.tenant.directory.users.objects)]
        FIRED[f"phone: {act}"] += 1
        match act:
            case "create":
                phones.create(user, folder, mail=colleague["mail"])
            case "bump":
                self.tenant.bump_change_keys(user)
            case "ids":
                self.tenant.change_item_ids(user)
                self.blind = True
            case "undelete":
                deleted = sorted(self.tenant.deleted_contacts(user), key=lambda contact: contact.uid)
                deleted = [contact for contact in deleted if self.is_served(user, contact.extended)]
                if deleted:
                    phones.move(user, deleted[which % len(deleted)], folder)
                    self.blind = True
            case _:
                contacts = phones.live(user)
                if busy:  # what is copied behind the back of a removal, nobody can find
                    contacts = [contact for contact in contacts if self.is_served(user, contact.extended)]
                if contacts:
                    self.handle(user, contacts[which % len(contacts)], act, where)

    def is_served(self, user: str, extended: dict[str, str]) -> bool:
        """Whether what carries this mark, if it comes out of Deleted Items, is still ours to care for."""
        mark = marks.parse(extended.get(marks.KEY_PROPERTY, ""))
        return mark is None or self.serving(user, mark.installation, mark.sync) is not None

    def note(self, acts: set[tuple[str, str, str, str]], user: str, *contacts: Contact) -> None:
        """Remember what a user did to contacts of ours."""
        for contact in contacts:
            mark = marks.parse(contact.extended.get(marks.KEY_PROPERTY, ""))
            if mark is not None:
                acts.update((user, mark.installation, mark.sync, key) for key in mark.keys)

    def may_be_ours(self, user: str, contact: Contact, folder: Folder) -> bool:
        """Whether a copy of a contact in this folder may be taken for a double of ours."""
        mark = marks.parse(contact.extended.get(marks.KEY_PROPERTY, ""))
        if mark is None:
            return False
        sync = mark.installation, mark.sync  # one that is on its way out, too
        definition = self.definitions.get(sync) or self.deleting.get(sync)
        is_default = definition is not None and definition["folder"] is None
        return (folder is self.phones.box(user).contacts and is_default) or bool(folder.extended)

    def handle(self, user: str, contact: Contact, act: str, where: int) -> None:
        """A user does something to one contact."""
        if act in ("delete", "erase", "move"):
            self.note(self.leeway.taken, user, contact)
        phones, box = self.phones, self.phones.box(user)
        elsewhere = [folder for folder in (box.contacts, *phones.live_folders(user)) if folder is not contact.folder]
        match act:
            case "edit":
                self.note(self.leeway.edited, user, contact)
                phones.edit(user, contact, f"+49301{where:05d}")
            case "delete":
                phones.delete(user, contact)
            case "erase":
                phones.delete(user, contact, permanently=True)
            case "copy here":
                phones.copy(user, contact, contact.folder, ours=self.may_be_ours(user, contact, contact.folder))
            case "move" if elsewhere:
                phones.move(user, contact, elsewhere[where % len(elsewhere)])
                self.blind = True
            case "copy" if elsewhere:
                folder = elsewhere[where % len(elsewhere)]
                phones.copy(user, contact, folder, ours=self.may_be_ours(user, contact, folder))
                self.blind = True

    @event(who=some, which=some, act=st.sampled_from(["ours", "other", "rename", "nest", "raise", "delete", "restore"]))
    def folder(self, who: int, which: int, act: str) -> None:
        """A user does something to a folder."""
        user = self.user(who)
        if user is None:
            return
        box = self.phones.box(user)
        folders = self.phones.live_folders(user)
        names = {folder.name for folder in box.contacts.children.values()}
        FIRED[f"folder: {act}"] += 1
        if act in ("ours", "other"):
            name = FOLDER if act == "ours" else f"Friends {which}"
            if name not in names:
                box.create_folder(box.contacts, name)
            return
        if act == "restore":
            deleted = [folder for folder in box.deleted_items.children.values() if self.is_served(user, folder.extended)]
            if deleted and deleted[which % len(deleted)].name not in names:
                box.move_folder(deleted[which % len(deleted)], box.contacts)
                self.blind = True
            return
        if not folders:
            return
        folder = folders[which % len(folders)]
        others = [other for other in folders if folder not in box.ancestors(other)]
        siblings = {child.name for other in others for child in other.children.values()}
        match act:
            case "rename" if f"Renamed {which}" not in {other.name for other in box.folders()}:
                box.rename_folder(folder, f"Renamed {which}")
            case "nest" if others and folder.name not in siblings:
                box.move_folder(folder, others[which % len(others)])
                self.blind = True
            case "raise" if folder.name not in names:
                box.move_folder(folder, box.contacts)
            case "delete":
                inside = [other for other in box.folders() if folder in (other, *box.ancestors(other))]
                self.note(self.leeway.taken, user, *(contact for other in inside for contact in other.contacts.values()))
                self.phones.delete_folder(user, folder)
                self.blind = True
