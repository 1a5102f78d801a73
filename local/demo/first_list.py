"""Everybody into everybody's phone: a first sync, a day in the life of the directory and of one phone, and a second sync."""

from __future__ import annotations

from local.demo import check, story
from local.demo.clients import Json
from local.demo.compare import choose, compare
from local.demo.performance import Performance
from local.m365.mailbox import MailboxState

_SHOWN = 18  # contacts


def play(on: Performance) -> list[str]:
    """The whole scene. Returns the ids of the mailboxes that can be served."""
    show, reader = on.show, on.reader
    users = reader.users()
    targets = sorted(check.targets(users))
    full = {user.user_principal_name for user in on.tenant.users if user.mailbox == MailboxState.FULL}
    unwritable = {user["id"] for user in users if user["userPrincipalName"] in full}

    def look() -> check.Views:
        return {user: None if user in unwritable else reader.mailbox(user) for user in targets}

    untouched = look()
    show.say(f"{on.tenant.display_name}: {len(users)} accounts, {len(targets)} of them with a mailbox.")
    on.admin.everybody(on.tenant.display_name[:100])

    show.step("First sync")
    run = _run(on, "due", "First sync")
    first = look()
    on.judge(
        check.check_people(users, first),
        check.check_unreachable(first, on.admin.mailboxes(run["run"])),
        check.check_foreign(untouched, first),
    )

    show.step("Meanwhile")
    plot = story.change_directory(on.hand, users)
    served = [user for user in targets if (view := first[user]) and view.ours]
    owner = max(served, key=lambda user: len(first[user].foreign) if first[user] else 0, default="")  # type: ignore[union-attr]
    if owner and (view := first[owner]):
        story.use_phone(on.hand, owner, view, plot)
    else:
        plot.skipped.append("everything on the phone: no mailbox can be reached")
    for line in plot.told:
        show.say(line)
    for line in plot.skipped:
        show.say(f"left out, {line}")
    before = look()

    show.step("Second sync")
    _run(on, "changes", "Second sync")
    users = reader.users()
    after = look()
    on.judge(
        check.check_people(users, after),
        check.check_foreign(before, after),
        *([check.check_removed_number(after, plot)] if plot.removed_from else []),
    )
    if owner and (one := first[owner]) and (two := before[owner]) and (three := after[owner]):
        name = next(user["displayName"] for user in users if user["id"] == owner)
        lines = choose(compare(one, two, three), _SHOWN)
        show.step("On a phone")
        show.contacts(f"{three.folder}: {len(lines)} of {len(three.ours)} contacts in the mailbox of {name}, over Graph", lines)
    return [user for user in targets if after[user]]


def _run(on: Performance, closely: str, title: str) -> Json:
    """A run of this list, and its report checked."""
    run = on.run(title, lambda: on.admin.start(closely))
    on.judge(check.check_report(run, on.served), check.check_manners(on.served))
    return run
