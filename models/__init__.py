"""Speech models and the engine that steps them. Nothing here knows of sockets, asyncio or the wire."""
