"""A stand-in for Microsoft 365: directory, mailboxes and tokens, as strict as the real service where that is known.

`service.Microsoft365` is the core: no sockets, no wall clock. `server` puts HTTP round it, `transport` calls it in-process
through httpx. Rules name the Microsoft page they come from ("graph/..." is short for https://learn.microsoft.com/graph/...);
rules without a page stand in docs/unverified.md.
"""
