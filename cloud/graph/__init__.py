"""Microsoft Graph behind the ports: transport, batches, delta queries, errors."""
