"""Worked examples: feed a push source of Rollcall from a CRM. They know nothing of Rollcall but its HTTP API."""
