"""The Microsoft Graph adapter."""
