"""The calendars of the stand-in: what a mailbox holds of them, how series unfold, and how Graph shows it."""
