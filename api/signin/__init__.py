"""Who is asking: Microsoft Entra's access tokens, checked by ourselves."""
