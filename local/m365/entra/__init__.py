"""Microsoft Entra ID: keys, tokens, sign-in and consent, for one registration of the app and the clients that call it."""
