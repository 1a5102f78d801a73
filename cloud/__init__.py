"""Adapters that implement the ports of `sync_core` on Azure and Microsoft 365."""
