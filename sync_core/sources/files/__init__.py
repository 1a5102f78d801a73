"""Files of people: CSV and vCard, as Outlook, Google and Apple export them."""
